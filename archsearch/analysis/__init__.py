"""Fronts, hypervolume, verdicts: records in, frozen dataclasses out. Every objective is lower-is-better here."""
