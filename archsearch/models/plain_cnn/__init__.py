"""A plain convolutional network of our own: the baseline without shuffles, splits and shortcuts."""
