"""How much better than it is a front looks, because its networks are those that had luck.

A search tries many networks, scores each once, and shows the best. Part of what makes them the best is the noise of
that score, which another seed does not repeat (the winner's curse). Where scores scatter about a line over the log
latency by the variance v, of which e is noise, the network that lies r better than the middle is expected to be r e / v
worse than it looks (regression to the mean; Efron 2011, "Tweedie's formula and selection bias", equation 2.8). Bad
networks make v large and say nothing of the good ones: v is taken from the better half alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from archsearch.analysis.front import Front, FrontRow
from archsearch.analysis.intervals import share_error_points
from archsearch.text import number_text, plural

_LEAST_NETWORKS = 10


@dataclass(frozen=True, kw_only=True)
class WinnersCurse:
    """By how much a front flatters its networks.

    Attributes:
        front_points: top-1 that the networks of the front are expected to lose in the mean, trained again (points).
        best_points: that the most accurate of them is expected to lose.
        noise_points: standard deviation of one score.
        networks: that the search tried.
        counted: the noise is that of counting the validation images alone, because no network was trained with several
            seeds; what other seeds change comes on top.
    """

    front_points: float
    best_points: float
    noise_points: float
    networks: int
    counted: bool

    @property
    def sentence(self) -> str:
        """All of it."""
        mean, best, noise = (
            number_text(value, decimals=1) for value in (self.front_points, self.best_points, self.noise_points)
        )
        basis = (
            f"from a noise of {noise} points, that of counting images; seeds add to it (`archsearch confirm`)"
            if self.counted
            else f"from a noise of {noise} points over the seeds"
        )
        return (
            f"The front is the luckiest of {plural(self.networks, 'network')}: trained again its networks lose "
            f"{'at least ' if self.counted else ''}about {mean} points of top-1 in the mean, its most accurate one "
            f"{best} ({basis})."
        )


def winners_curse_of(front: Front, noise_points: float | None = None) -> WinnersCurse | None:
    """The winner's curse of a searched front; None for fewer than 10 networks, for those of a design, or without noise.

    Args:
        front: of a search with one training for each network.
        noise_points: standard deviation of one score over the seeds, if networks were trained with several; None: the
            binomial error of the validation images, which is less.
    """
    rows: dict[str, FrontRow] = {}
    for row in sorted(front.rows, key=lambda row: row.record.trial):
        rows.setdefault(row.record.arch_id, row)
    scored = [
        (row, row.record.error_percent, math.log(row.record.latency.corrected_ms))
        for row in rows.values()
        if row.record.score is not None
        and row.record.latency is not None
        and row.record.latency.corrected_ms > 0.0
        and row.record.point is None
    ]
    if len(scored) < _LEAST_NETWORKS:
        return None
    errors, logs = (np.array([each[column] for each in scored], dtype=np.float64) for column in (1, 2))
    counted = noise_points is None
    if noise_points is None:
        shares = [
            share_error_points(row.record.score.top1_percent, row.record.score.eval_images)
            for row, _, _ in scored
            if row.record.score is not None
        ]
        known = [share for share in shares if share is not None]
        noise_points = math.sqrt(float(np.mean(np.square(known)))) if known else 0.0
    line = np.polyval(np.polyfit(logs, errors, 1 if np.ptp(logs) > 0.0 else 0), logs)
    better = np.median(errors - line) - (errors - line)
    variance = float(np.mean(better[better > 0.0] ** 2)) if (better > 0.0).any() else 0.0
    if not noise_points > 0.0 or not variance > 0.0:
        return None
    lost = min(1.0, noise_points**2 / variance) * np.maximum(better, 0.0)
    members = np.array([row.on_front for row, _, _ in scored])
    best = int(np.argmin(np.where(members, errors, math.inf)))
    return WinnersCurse(
        front_points=float(lost[members].mean()),
        best_points=float(lost[best]),
        noise_points=noise_points,
        networks=len(scored),
        counted=counted,
    )
