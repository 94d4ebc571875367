"""What a comparison says, in sentences."""

from __future__ import annotations

from archsearch.analysis.compared import Comparison, Mover, RankCorrelation

NOUNS = {"latency_ms": "latency", "error_percent": "accuracy"}
# Kendall's tau from which on an order is called so; of two networks at random, (1 + tau) / 2 stand in the same order.
_WORDS = ((0.8, "almost the same order"), (0.5, "much the same order"), (0.2, "a loosely similar order"))


def correlation_sentence(found: RankCorrelation) -> str:
    """How alike two sides rank the networks by one objective, with n and the interval."""
    what, between = NOUNS[found.objective], f"{found.first} and {found.second}"
    if found.kendall is None:
        return f"By {what} nothing can be told of {between}: {found.reason}."
    low, high = found.kendall_low, found.kendall_high
    numbers = f"Kendall's tau {found.kendall:.2f}" + (
        f", 95 % interval {low:.2f} to {high:.2f}" if low is not None and high is not None else ""
    )
    numbers += f", n = {found.n}"
    if low is not None and high is not None and low <= 0.0 <= high:
        return f"By {what} no common order of {between} can be told ({numbers})."
    if found.kendall < 0.0:
        return f"By {what} {between} rank the networks in opposite order ({numbers})."
    words = next((words for least, words in _WORDS if found.kendall >= least), "hardly the same order")
    return f"By {what} {between} rank the networks in {words} ({numbers})."


def mover_sentence(found: Mover) -> str:
    """Where a network stood and stands."""
    overtaken = f"against {found.reversed_pairs} network{'' if found.reversed_pairs == 1 else 's'}"
    return (
        f"{found.label} is {found.from_rank:g} by {NOUNS[found.objective]} in {found.first} and {found.to_rank:g} in "
        f"{found.second}: its order {overtaken} is reversed."
    )


def comparison_sentences(found: Comparison) -> tuple[str, ...]:
    """All of it: why nothing is compared, or the correlations, and the networks that leave a front."""
    if found.reason:
        return (f"Nothing to compare: {found.reason}.",)
    lines = [correlation_sentence(each) for each in found.correlations]
    leaving = found.leaving
    if not leaving:
        lines.append(f"The fronts of the {len(found.shared)} shared networks have the same members on all sides.")
    else:
        named = ", ".join(network.label for network in leaving[:6]) + (", ..." if len(leaving) > 6 else "")
        lines.append(f"On the front of one side and not of another: {len(leaving)} of {len(found.shared)} ({named}).")
    return tuple(lines)
