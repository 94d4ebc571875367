"""What each plot shows, in a line: by its name, and without plotly, so that a command lists them at once."""

from __future__ import annotations

from collections.abc import Mapping

from archsearch.errors import UnknownNameError

SUMMARIES: Mapping[str, str] = {
    "front": "accuracy against latency, the front and the named variants",
    "front-3d": "the front with parameters or the third objective as depth",
    "hypervolume": "how the hypervolume grew, beside the same trials in random order",
    "parallel": "every network as a line through its objectives and the choices that explain most of its error",
    "curves": "top-1 against the epoch of every training, with early stops",
    "latencies": "p10, median and p90 of each network in order, and the reference's drift",
    "guidelines": "the four guideline experiments on this device, beside the printed ones",
    "ablation": "what every level of every choice changes against the base, with intervals",
    "confirmed": "the front evaluated again: intervals, and how probably each network is on it",
    "trust": "the proxy against long training, beside predictors that train nothing",
    "final": "the networks trained in full: test accuracy against latency and parameters",
    "confusion": "which classes a retrained network takes for which, on the test split",
    "importances": "how much each choice mattered among the networks of the search (observational)",
    "grid": "accuracy and latency by the levels of two choices (observational)",
    "marginal": "the estimated effect of each value (additive model: correlation, not causation)",
    "architecture": "the recommended network: its parts, and what differs from the study's base",
}


def check_plot(name: str) -> None:
    """Raise UnknownNameError, with the nearest one, for a plot that there is not."""
    if name not in SUMMARIES:
        raise UnknownNameError("plot", name, SUMMARIES, listed_by="archsearch plot")
