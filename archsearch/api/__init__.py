"""What archsearch does, as functions: the command line calls these, and so may you. See `examples/`."""
