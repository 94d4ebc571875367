"""The version, on the ground floor: what writes it into a file imports nothing else of the package."""

__version__ = "0.1.0"
