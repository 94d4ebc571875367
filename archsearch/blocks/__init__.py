"""Parts that networks are made of: one paper, one file."""
