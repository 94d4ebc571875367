"""Trained networks as files for other runtimes: one file a format, and the check that they compute the same."""
