"""Families as modules of torch, built from their specs."""
