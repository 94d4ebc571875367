"""Figures, each made from a frozen info object: everything that knows plotly."""
