"""What a longer training says of the proxy, in words."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.analysis.rank_bootstrap import Correlation
from archsearch.records import Score

PREDICTOR_WORDS = {
    "params": "counting parameters",
    "macs": "counting multiply-adds",
    "memory_bytes": "counting memory access",
    "latency_ms": "measuring latency",
    "synflow": "zero-cost synflow",
    "jacob_cov": "zero-cost jacob_cov",
}


def tau_text(value: float, low: float | None, high: float | None) -> str:
    """`0.41, interval 0.10 to 0.66`."""
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f}, interval {low:.2f} to {high:.2f}"


def group_sentence(
    name: str,
    proxy: Correlation,
    best: Correlation | None,
    advantage: float | None,
    interval: tuple[float, float] | None,
    *,
    confidence: float,
) -> str:
    """Whether the proxy ranks a group's networks better than the best predictor that trains nothing."""
    where = f"over {proxy.n} networks" if name == "all" else f"over the {proxy.n} networks of the {name}"
    if proxy.tau is None:
        return f"whether the proxy ranks as the longer training does cannot be told {where}: {proxy.note}."
    own = f"tau {tau_text(proxy.tau, proxy.tau_low, proxy.tau_high)}"
    maybe_none = proxy.tau_low is not None and proxy.tau_low <= 0.0 <= proxy.tau
    chance = "; its interval holds 0, so it may not rank them at all" if maybe_none else ""
    if best is None or best.tau is None or advantage is None or interval is None:
        return f"the proxy ranks with {own} {where}, beside no other predictor{chance}."
    other = PREDICTOR_WORDS.get(best.predictor, best.predictor)
    low, high = interval
    numbers = (
        f"({own}; {best.predictor} {tau_text(best.tau, best.tau_low, best.tau_high)}; difference {advantage:+.2f}, "
        f"{low:+.2f} to {high:+.2f}; {confidence * 100:g} % intervals){chance}"
    )
    if low > 0.0:
        return f"the proxy ranks better than {other} {where} {numbers}."
    if high < 0.0:
        return f"the proxy ranks worse than {other} {where} {numbers}."
    if advantage <= 0.0:
        return f"the proxy ranks no better than {other} {where} {numbers}."
    return f"that the proxy ranks better than {other} cannot be told {where} {numbers}."


def method_text(*, confidence: float, resamples: int) -> str:
    """How the correlations and intervals are made."""
    return (
        "Kendall's tau-b and Spearman's rank correlation with the longer training's top-1 on the same validation "
        f"split. {confidence * 100:g} % percentile intervals from {resamples} bootstrap resamples of the networks, the "
        "same for all predictors; the difference to the best predictor is paired by resample. That predictor was "
        "chosen on these networks, which flatters it. The best quarter is that of the searched study by proxy accuracy."
    )


def trust_warnings(
    short: Sequence[Score], long: Sequence[Score], missing: Sequence[str], *, seeds: Sequence[int]
) -> tuple[str, ...]:
    """What makes the two trainings, or the networks, incomparable."""
    texts = []
    if missing:
        named = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        texts.append(f"without both trainings, so left out: {named}")
    for field in ("split", "train_images", "eval_images"):
        values = sorted({str(getattr(score, field)) for score in (*short, *long)})
        if len(values) > 1:
            texts.append(f"the trainings differ in {field.replace('_', ' ')}: {', '.join(values)}")
    for what, scores in (("short", short), ("long", long)):
        epochs = sorted({score.epochs for score in scores})
        if len(epochs) > 1:
            texts.append(f"the {what} trainings have different epochs: {', '.join(map(str, epochs))}")
    if len(set(seeds)) > 1:
        texts.append(f"the means of the long training are over {min(seeds)} to {max(seeds)} seeds")
    if short and long and max(s.epochs for s in long) <= max(s.epochs for s in short):
        texts.append("the long training has no more epochs than the proxy")
    return tuple(texts)
