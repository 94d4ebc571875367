"""Parts that networks are made of: convolutions and heads, stems, channel shuffles, attention."""
