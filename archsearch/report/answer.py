"""The answer: up to three networks to take, why each, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from archsearch.analysis.front import Front, FrontRow
from archsearch.analysis.objectives import relative_percent
from archsearch.records import Latency, Record, Score
from archsearch.report.certainty import confirmed_point, confirmed_sentences
from archsearch.report.data import ReportData
from archsearch.report.sections import Pick
from archsearch.text import count_text, percent_text, significant

# Of what the most accurate network gains over guessing, a fast one must keep this share to be worth taking.
WITHIN_REASON = 0.8
MOST_ACCURATE, FASTEST, KNEE = "most accurate", "fastest within reason", "knee"
_NORMAL_95 = 1.96


def chosen_rows(front: Front) -> tuple[tuple[FrontRow, tuple[str, ...]], ...]:
    """The rows to take with their roles, fastest first; fewer than three where one network has several roles.

    The fastest within reason keeps at least 80% of what the most accurate gains over guessing a class. Ties go to the
    other objective, then to the lower trial.
    """
    members = front.members
    if not members:
        return ()
    accurate = min(members, key=lambda row: (row.record.error_percent, _latency_ms(row.record), row.record.trial))
    classes = accurate.record.cost.num_classes if accurate.record.cost is not None else 2
    chance = 100.0 / max(classes, 1)
    best = 100.0 - accurate.record.error_percent
    least = chance + WITHIN_REASON * (best - chance) if best > chance else best
    within = [row for row in members if 100.0 - row.record.error_percent >= least - 1e-9]
    fastest = min(within, key=lambda row: (_latency_ms(row.record), row.record.error_percent, row.record.trial))
    roles: dict[int, tuple[FrontRow, list[str]]] = {}
    for role, row in ((MOST_ACCURATE, accurate), (FASTEST, fastest), (KNEE, front.knee)):
        if row is not None:
            roles.setdefault(row.record.trial, (row, []))[1].append(role)
    found = sorted(roles.values(), key=lambda item: _latency_ms(item[0].record))
    return tuple((row, tuple(names)) for row, names in found)


def answer_sentences(data: ReportData, picks: tuple[Pick, ...]) -> tuple[str, ...]:
    """The answer in a sentence or two; without a network to take, why there is none."""
    front = data.front
    if not picks:
        return no_network(data)
    complete, members = len(front.rows), len(front.members)
    distinct = len({row.record.arch_id for row in front.members})
    if complete == 1:
        return ("One network is complete: it is the answer for want of another.",)
    first = f"Of {complete:,} complete networks, {members:,} {'is' if members == 1 else 'are'} on the front"
    if len({row.values for row in front.rows}) == 1:
        return (f"All {complete:,} complete networks have the same accuracy and latency: take any of them.",)
    if distinct == 1:
        return (f"{first}: nothing that was tried is faster or more accurate than {picks[0].label}.",)
    taken = "; ".join(f"{pick.label} ({', '.join(pick.roles)}: {pick.measures[0][1]}, {pick.measures[1][1]})"
                      for pick in picks)  # fmt: skip
    sentence = f"{first}. Take {'one of ' if len(picks) > 1 else ''}these: {taken}."
    if all(pick.confirmed for pick in picks):
        return (sentence,)
    rest = "Each accuracy below is of a short training: a proxy that ranks, not the accuracy to publish."
    if data.design is not None:
        return (sentence, rest)
    chosen = [row.record for row, _ in chosen_rows(front)]
    if len(chosen) > 1 and not any(told_apart(one, other) for one, other in pairwise(chosen)):
        rest += (
            " Their accuracies differ by less than so few validation images can tell: until they are confirmed, "
            f"{chosen[0].label}, the fastest, is the safest to take."
        )
    return (sentence, rest)


def no_network(data: ReportData) -> tuple[str, ...]:
    """Why there is no network to take."""
    if not data.records:
        return ("There is no network to take yet: the study has no trials.",)
    counts = ", ".join(f"{count:,} {status}" for status, count in sorted(data.front.statuses.items()))
    found = [f"There is no network to take: none of the study's trials is complete ({counts})."]
    reasons = Counter(record.reason for record in data.records if record.reason)
    for reason, count in reasons.most_common(3):
        found.append(f"{count:,} {'trial' if count == 1 else 'trials'}: {reason}")
    return tuple(found)


def picks_of(data: ReportData) -> tuple[Pick, ...]:
    """The networks to take, fastest first."""
    rows = chosen_rows(data.front)
    return tuple(_pick(data, row, roles, rows) for row, roles in rows)


PICKS_NOTE = (
    "Each is on the front: nothing that was tried beats it in one measure without losing in another. Most accurate: "
    "the highest top-1. Fastest within reason: the lowest latency among those that keep at least 80 % of what the most "
    "accurate gains over guessing a class. Knee: where the front bends, farthest below the line between its two ends. "
    "One network may be two of them."
)


def _pick(
    data: ReportData, row: FrontRow, roles: tuple[str, ...], rows: tuple[tuple[FrontRow, tuple[str, ...]], ...]
) -> Pick:
    record = row.record
    if record.cost is None or record.latency is None or record.score is None:
        raise ValueError(f"trial {record.trial} of study '{record.study}' is not complete")
    measures = (
        ("Top-1", f"{record.score.top1_percent:.2f} %"),
        ("Latency", f"{significant(record.latency.corrected_ms)} ms"),
        ("Parameters", count_text(record.cost.params)),
        ("Multiply-adds", count_text(record.cost.macs)),
    )
    point = confirmed_point(data.plots.confirmed, record)
    seeds = data.seeds_of(record)
    certainty = confirmed_sentences(point) if point is not None else unconfirmed(record.score, record.latency, seeds)
    return Pick(
        roles=roles,
        label=record.label,
        trial=record.trial,
        arch_id=record.arch_id,
        measures=measures,
        why=(*_against(record, roles, rows), *_against_variants(data, record)),
        certainty=certainty,
        confirmed=point is not None,
        state="confirmed" if point is not None else "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds",
        confirm=data.typed("confirm") if point is None and data.design is None else None,
        changes=data.changes(record),
        command=data.typed("retrain", "--trial", str(record.trial)),
    )


def unconfirmed(score: Score, latency: Latency, seeds: tuple[int, ...]) -> tuple[str, ...]:
    """How sure a network is that nothing has confirmed; `seeds`: those that its score is the mean of."""
    epochs = f"{score.epochs} {'epoch' if score.epochs == 1 else 'epochs'}"
    if len(seeds) > 1:
        return (f"Mean of {len(seeds)} seeds ({', '.join(map(str, seeds))}), {epochs}.",)
    share = score.top1_percent / 100.0
    found = [f"One seed ({score.seed}), {epochs}, not confirmed."]
    if score.eval_images > 0:
        spread = 100.0 * _NORMAL_95 * math.sqrt(max(share * (1.0 - share), 0.0) / score.eval_images)
        found.append(
            f"Counting on {score.eval_images:,} {score.split} images alone leaves ± {spread:.1f} points (95 %); "
            "another seed adds to that."
        )
    scale = latency.study_reference_ms if latency.study_reference_ms is not None else latency.reference_p10_ms
    if latency.ratio_low is not None and latency.ratio_high is not None:
        low, high = (significant(ratio * scale) for ratio in (latency.ratio_low, latency.ratio_high))
        found.append(f"Latency: {low} to {high} ms (95 %, this measurement alone).")
    if not latency.converged:
        found.append("Its latency did not converge.")
    return tuple(found)


def margin_points(one: Score, other: Score) -> float | None:
    """By how many points two accuracies must differ (95 %) to be told apart by counting; None without counts.

    The two networks saw the same images, which is not used: it would narrow the margin, but the images that both got
    right are not stored.
    """
    if one.eval_images <= 0 or other.eval_images <= 0:
        return None
    shares = [(score.top1_percent / 100.0, score.eval_images) for score in (one, other)]
    return 100.0 * _NORMAL_95 * math.sqrt(sum(max(share * (1.0 - share), 0.0) / count for share, count in shares))


def told_apart(one: Record, other: Record) -> bool:
    """Whether counting alone tells the accuracies of two networks apart."""
    if one.score is None or other.score is None:
        return False
    margin = margin_points(one.score, other.score)
    return margin is None or abs(one.score.top1_percent - other.score.top1_percent) > margin


def _against(
    record: Record, roles: tuple[str, ...], rows: tuple[tuple[FrontRow, tuple[str, ...]], ...]
) -> tuple[str, ...]:
    """How it compares with the other networks to take."""
    found = []
    for other, names in rows:
        if other.record.trial == record.trial:
            continue
        points = other.record.error_percent - record.error_percent
        mine, theirs = _latency_ms(record), _latency_ms(other.record)
        accuracy = f"{abs(points):.2f} points {'more' if points > 0 else 'less'} accurate" if points else "as accurate"
        if points and not told_apart(record, other.record):
            accuracy += " (too little to tell)"
        if mine < theirs:
            speed = f"{_times(theirs / mine)} as fast" if mine > 0 else "faster"
        elif mine > theirs:
            speed = f"{_times(mine / theirs)} the latency" if theirs > 0 else "slower"
        else:
            speed = "as fast"
        found.append(f"Against the {' and '.join(names)}, {other.record.label}: {accuracy}, {speed}.")
    return tuple(found)


def _against_variants(data: ReportData, record: Record) -> tuple[str, ...]:
    """The published network nearest in latency, and what is gained over it."""
    published = [
        verdict.record
        for verdict in data.verdicts
        if verdict.record.latency is not None
        and verdict.record.score is not None
        and verdict.record.trial != record.trial
    ]
    if not published:
        return ()
    mine = _latency_ms(record)
    nearest = min(
        published, key=lambda other: (abs(math.log(max(_latency_ms(other), 1e-9) / max(mine, 1e-9))), other.trial)
    )
    points = nearest.error_percent - record.error_percent
    theirs = _latency_ms(nearest)
    percent = relative_percent(theirs, mine)
    speed = f"{percent_text(abs(percent))} {'faster' if percent > 0 else 'slower'}" if percent else "as fast"
    return (f"Against {nearest.label}, the published network nearest in latency: {points:+.2f} points, {speed}.",)


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times" if ratio < 2 else f"{ratio:.1f} times"


def _latency_ms(record: Record) -> float:
    return record.latency.corrected_ms if record.latency is not None else math.inf
