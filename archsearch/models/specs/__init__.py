"""Families as data: what each network chooses between. No torch here."""
