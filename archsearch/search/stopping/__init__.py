"""Stopping rules of a search: when a proxy's training is not worth its last epochs."""
