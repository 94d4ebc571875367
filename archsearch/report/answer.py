"""The answer: the recommended network and those for other needs, why each, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.analysis.front import FrontRow
from archsearch.analysis.intervals import NORMAL_95, share_error_points
from archsearch.analysis.recommendation import Role, accuracy_difference
from archsearch.records import Latency, Score
from archsearch.report.data import ReportData, interval_ms
from archsearch.report.sections import Pick, Subsection
from archsearch.text import count_text, plural, significant


def answer_sentences(data: ReportData, picks: tuple[Pick, ...]) -> tuple[str, ...]:
    """What to take, in the words of `archsearch.analysis.recommendation`, and what its numbers are of."""
    said = data.front.recommendation.sentences
    if not picks or all(pick.confirmed for pick in picks):
        return said
    return (
        *said,
        "These accuracies are of a short training: use them to rank networks, not as accuracies after full training.",
    )


CHOICES_TITLE = "Which design choices are worth their cost"


def choices_answer(data: ReportData) -> Subsection | None:
    """Which choices are worth their cost: what the newest ablation says, else what went along with what in the search.

    None of a design without an ablation: it does not ask.
    """
    if data.ablations:
        newest = data.ablations[0]
        if newest.empty is not None:
            return Subsection(title=CHOICES_TITLE, sentences=(f"{newest.empty}.",))
        changes = plural(len(newest.rows), "change")
        seeds = plural(len(newest.design.seeds), "seed")
        said = f"{changes} of {newest.base_name}, each trained with {seeds} beside it:"
        return Subsection(title=CHOICES_TITLE, sentences=(said,), points=newest.worth)
    if data.design is not None:
        return None
    found = data.results.get("importances")
    # of each objective by the method that says what chance gives
    seen = () if found is None else tuple(each.sentence for each in found.told if each.shuffled)
    return Subsection(
        title=CHOICES_TITLE,
        sentences=(
            "Not known yet: no ablation has tested it."
            + (" What the search saw is correlation, not causation:" if seen else ""),
        ),
        points=seen,
        command=data.typed("ablate", "--from", "best"),
    )


def picks_of(data: ReportData) -> tuple[Pick, ...]:
    """The networks to take: the recommended one, then the others by latency."""
    rows = {row.record.trial: row for row in data.front.rows}
    taken = [(role, rows[role.candidate.record.trial]) for role in data.front.recommendation.roles]
    return tuple(_pick(data, role, row, taken) for role, row in taken)


PICKS_NOTE = (
    "Recommended: the start is the knee of the front, or its most accurate network where it has no knee; of the "
    "networks whose accuracy cannot be told from the start's the fastest is taken. Most accurate: the highest top-1. "
    "Fastest within reason: the lowest latency among those that keep at least 80 % of what the most accurate gains "
    "over guessing a class. Knee: where the front bends, farthest below the line between its two ends. One network "
    "may have several of these roles."
)


def _pick(data: ReportData, role: Role, row: FrontRow, taken: Sequence[tuple[Role, FrontRow]]) -> Pick:
    record = row.record
    values = dict(zip(data.front.objectives, role.candidate.values, strict=True))  # of the seeds that confirmed it
    measures = (
        ("Top-1", f"{role.candidate.top1_percent:.2f} %"),
        ("Latency", f"{significant(values.get('latency_ms', row.latency.corrected_ms))} ms"),
        ("Params", count_text(row.cost.params)),
        ("MACs", count_text(row.cost.macs)),
    )
    again = () if (found := data.results.get("confirmed")) is None else found.evaluated
    point = next((each for each in again if each.arch_id == record.arch_id), None)
    seeds = data.seeds_of(record)
    certainty = unconfirmed(row.score, row.latency, seeds) if point is None else (f"Confirmed: {point.sentence}",)
    return Pick(
        roles=role.names,
        label=record.label,
        trial=record.trial,
        arch_id=record.arch_id,
        measures=measures,
        why=(*_against(data, row, taken), *(() if role.published is None else (f"{role.published.sentence}.",))),
        certainty=certainty,
        confirmed=point is not None,
        state="confirmed" if point is not None else "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds",
        confirm=data.typed("confirm") if point is None and data.design is None else None,
        changes=data.front.changes(record),
        command=data.typed("retrain", "--trial", str(record.trial)),
    )


def unconfirmed(score: Score, latency: Latency, seeds: tuple[int, ...]) -> tuple[str, ...]:
    """How sure a network is that nothing has confirmed; `seeds`: those that its score is the mean of."""
    epochs = plural(score.epochs, "epoch")
    if len(seeds) > 1:
        return (f"Mean of {len(seeds)} seeds ({', '.join(map(str, seeds))}), {epochs}.",)
    error = share_error_points(score.top1_percent, score.eval_images)
    found = [f"One seed ({score.seed}), {epochs}, not confirmed."]
    if error is not None:
        found.append(
            f"± {NORMAL_95 * error:.1f} points (95 %) from the size of the {score.split} set alone "
            f"({score.eval_images:,} images); seed-to-seed variation comes on top."
        )
    if ends := interval_ms(latency):
        low, high = map(significant, ends)
        found.append(f"Latency: {low} to {high} ms (95 %, this measurement alone).")
    if not latency.converged:
        found.append("Its latency did not converge.")
    return tuple(found)


def _against(data: ReportData, row: FrontRow, taken: Sequence[tuple[Role, FrontRow]]) -> tuple[str, ...]:
    """How it compares with the other networks to take."""
    found = []
    for other, theirs in taken:
        if theirs.record.trial == row.record.trial:
            continue
        difference = accuracy_difference(row.record, theirs.record, data.front.recommendation.confirmed)
        points = difference.points
        accuracy = f"{abs(points):.2f} points {'more' if points > 0 else 'less'} accurate" if points else "as accurate"
        if points and not difference.told_apart:
            accuracy += " (too little to tell)"
        mine, their_ms = row.latency.corrected_ms, theirs.latency.corrected_ms
        if mine < their_ms:
            speed = f"{_times(their_ms / mine)} as fast" if mine > 0 else "faster"
        elif mine > their_ms:
            speed = f"{_times(mine / their_ms)} the latency" if their_ms > 0 else "slower"
        else:
            speed = "as fast"
        found.append(f"Against the {' and '.join(other.names)}, {theirs.record.label}: {accuracy}, {speed}.")
    return tuple(found)


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times" if ratio < 2 else f"{ratio:.1f} times"
