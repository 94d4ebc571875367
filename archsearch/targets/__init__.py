"""Boards that networks are measured on, while the search trains here."""
