"""Families of networks: a frozen specification of what can be chosen, and the module built from it."""
