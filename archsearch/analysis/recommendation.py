"""Which network of a study to take, and why: decided and worded here, and nowhere else.

The candidates are the networks on the front; where a confirmation has evaluated all of them again, those that are on
the front of its means.

1. The start is the knee of the candidates (`pareto.knee`: Das 1999), and the most accurate one where there is no knee.
2. Of the candidates whose accuracy cannot be told from the start's, the fastest is recommended, and the most accurate
   of those whose latency is a tie with the fastest's. It is the one-standard-error rule of Breiman et al. 1984
   ("Classification and Regression Trees", section 3.4.3: the simplest model that is as good as the best within
   chance), with latency for simplicity and a 95 % interval for the standard error.

Two accuracies are told apart where the 95 % interval of their difference leaves out 0. Its standard error is that of
two binomial shares over the validation images; that the networks saw the same images would narrow it, but which images
they got right is not stored. Where both networks were confirmed, differences are paired by seed: the residual of
point + seed over all confirmed networks, Student's t; where they had not the same seeds, with the error of the seeds'
fitted effects (`Confirmed.difference_variance`). Two latencies are told apart beyond the study's noise floor, two
errors over the classes beyond what counting the images explains. Where the confirmation was measured on another device,
the noise floor is that device's, and published networks are those that it evaluated.

Error and latency are objectives of every study; it may have a third one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.analysis.confirmed import BALANCED, Confirmed, ConfirmedPoint, winners_curse_of
from archsearch.analysis.front import MEASURED_OBJECTIVE, Front, FrontRow, distinct, noisy_latency
from archsearch.analysis.intervals import counting_margin_points, half_width
from archsearch.analysis.objectives import OBJECTIVES, cost_of, floor_text, latency_of, relative_percent, score_of
from archsearch.analysis.pareto import knee
from archsearch.errors import ArchsearchError, ConfigError, nearest
from archsearch.records import Record
from archsearch.table import json_as, notebook_block, paragraphs
from archsearch.text import capitalised, percent_text, plural, sided_text

ERROR = "error_percent"
# Of what the most accurate network gains over guessing a class, a fast one must keep this share to be worth taking.
WITHIN_REASON = 0.8
_SAID_POINTS = 0.05  # a smaller loss is shown as none
RECOMMENDED, KNEE, MOST_ACCURATE, FASTEST = "recommended", "knee", "most accurate", "fastest within reason"
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network as the recommendation sees it.

    Attributes:
        record: of the searched study.
        top1_percent: on the validation split; the mean over `seeds` where it was confirmed.
        values: in the order of the front's objectives; those of the confirmation where there is one.
        seeds: that confirmed it; 0: as searched.
    """

    record: Record
    top1_percent: float
    values: tuple[float, ...]
    seeds: int = 0


@dataclass(frozen=True, kw_only=True)
class AccuracyDifference:
    """By how many points of top-1 the recommended network is more accurate than another.

    Attributes:
        points: negative: it is less accurate.
        low, high: 95 % interval; None where nothing says how sure it is, and then every difference counts.
        basis: what the interval comes from, for people; "" without one.
    """

    points: float
    low: float | None = None
    high: float | None = None
    basis: str = ""

    @property
    def told_apart(self) -> bool:
        """Whether the two accuracies differ by more than chance."""
        return self.points != 0.0 if self.low is None or self.high is None else self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True, kw_only=True)
class CostDifference:
    """By how many percent the recommended network is below another in one objective; negative: above.

    `told_apart`: the two differ, a latency by more than the noise floor, an error over the classes by more than
    counting the validation images explains.
    """

    objective: str
    percent: float
    told_apart: bool


@dataclass(frozen=True, kw_only=True)
class Published:
    """The recommended network beside a published one.

    Attributes:
        beaten: the recommended network is told from it as better in an objective, and as worse in none.
        accuracy, costs: the differences, as searched unless both were confirmed; `costs` in the objectives' order.
        sentence: `+9.0 points and 73 % faster than shufflenet_v2_x1_0`, with what cannot be told.
    """

    record: Record
    beaten: bool
    accuracy: AccuracyDifference
    costs: tuple[CostDifference, ...]
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Role:
    """A network that one may take, and why: the names of its roles; `published` as of a recommendation."""

    candidate: Candidate
    names: tuple[str, ...]
    published: Published | None = None


class PublishedJson(TypedDict):
    """The recommended network beside a published one; differences are the recommended minus the published."""

    trial: int
    network: str
    beaten: bool
    accuracy_points: float
    accuracy_low: float | None
    accuracy_high: float | None
    accuracy_told_apart: bool
    lower_percent: dict[str, float]
    told_apart: dict[str, bool]
    sentence: str


class RoleJson(TypedDict):
    """A network, and why one may take it."""

    trial: int
    roles: list[str]


class RecommendationJson(TypedDict):
    """Which network to take, and why; networks stand by their trials."""

    trial: int | None
    network: str | None
    arch_id: str | None
    sentence: str
    reason: str
    published: PublishedJson | None
    runners_up: list[int]
    roles: list[RoleJson]
    notes: list[str]
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """One network to take.

    Attributes:
        network: which; None where no trial is complete, and then `sentence` says so.
        sentence: what to take, beside the published network that it beats.
        reason: why it, in a sentence; "" without a network.
        published: the published network that it beats; of none that it beats the one nearest in latency; None where
            the study has evaluated no other published network.
        runners_up: candidates whose accuracy cannot be told from its, fastest first.
        alternatives: the other networks that have a role: knee, most accurate, fastest within reason; fastest first.
        own_roles: of the recommended network itself, such as "knee".
        warnings: what may make the choice wrong, in sentences.
        confirmed: the further seeds that it rests on, as far as they reach; None: on the search alone.
    """

    network: Candidate | None
    sentence: str
    reason: str = ""
    published: Published | None = None
    runners_up: tuple[Candidate, ...] = ()
    own_roles: tuple[str, ...] = ()
    alternatives: tuple[Role, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    confirmed: Confirmed | None = None

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_html_(self) -> str:
        return notebook_block("Recommendation", paragraphs(*self.sentences))

    def plain(self) -> RecommendationJson:
        """All of it as plain data; networks stand by their trials."""
        published = self.published
        return json_as(
            RecommendationJson,
            self,
            network=None if self.record is None else self.record.label,
            arch_id=None if self.record is None else self.record.arch_id,
            published=None
            if published is None
            else json_as(
                PublishedJson,
                published,
                trial=published.record.trial,
                network=published.record.variant or published.record.label,
                **{f"accuracy_{name}": getattr(published.accuracy, name) for name in ("points", "low", "high")},
                accuracy_told_apart=published.accuracy.told_apart,
                lower_percent={each.objective: each.percent for each in published.costs},
                told_apart={each.objective: each.told_apart for each in published.costs},
            ),
            runners_up=[each.record.trial for each in self.runners_up],
            roles=[{"trial": role.candidate.record.trial, "roles": list(role.names)} for role in self.roles],
        )

    @property
    def record(self) -> Record | None:
        """The network's record in the searched study."""
        return None if self.network is None else self.network.record

    @property
    def trial(self) -> int | None:
        """The number of the network's trial."""
        return None if self.network is None else self.network.record.trial

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it, one thing a sentence."""
        return tuple(text for text in (self.sentence, self.reason, *self.notes, *self.warnings) if text)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The recommended network and the alternatives."""
        if self.network is None:
            return ()
        own = Role(candidate=self.network, names=(RECOMMENDED, *self.own_roles), published=self.published)
        return (own, *self.alternatives)


def made_with(command: str) -> str:
    """What to type for what is not there yet, in the words of every hint."""
    return f"make it with: {command}"


def recommendation_of(
    front: Front, records: Sequence[Record], *, confirmed: Confirmed | None = None, made_by: str = ""
) -> Recommendation:
    """The network of a study to take.

    Args:
        front: `front_of(records, ...)`.
        records: of the study, of any status; those that name a variant are the published ones.
        confirmed: of that front, if there is one; of a study with a design, its own seeds.
        made_by: what to type for networks, which is said where there is none.
    """
    if not front.rows:
        return _none(front, records, made_by)
    return _Choice(front, records, confirmed).recommendation()


def accuracy_difference(one: Record, other: Record, confirmed: Confirmed | None = None) -> AccuracyDifference:
    """By how many points `one` is more accurate than `other`: confirmed where both are, else as searched."""
    found, spread = _points_of(confirmed), None if confirmed is None else confirmed.error_spread
    first, second = found.get(one.arch_id), found.get(other.arch_id)
    margin: float | None
    if confirmed is not None and spread is not None and first is not None and second is not None:
        points = _error(second, confirmed) - _error(first, confirmed)
        deviation = math.sqrt(spread.variance * confirmed.difference_variance(first, second))
        margin = half_width(deviation, spread.freedom)
        basis = _seeds_text(first.seeds, second.seeds)
    else:
        points, scores = other.error_percent - one.error_percent, (score_of(one), score_of(other))
        margin = counting_margin_points(*scores)
        if margin is None:
            return AccuracyDifference(points=points)
        counted = sorted({score.eval_images for score in scores})
        basis = f"counting on {' and '.join(f'{count:,}' for count in counted)} images"
        basis += " as searched" if first is not None or second is not None else ""
    return AccuracyDifference(points=points, low=points - margin, high=points + margin, basis=basis)


def _seeds_text(one: Sequence[int], other: Sequence[int]) -> str:
    """What a confirmed difference rests on: `paired over 3 seeds`, `over 3 and 2 seeds, 2 of them in both`."""
    if set(one) == set(other):
        return f"paired over {plural(len(one), 'seed')}"
    both = len(set(one) & set(other))
    return f"over {len(one)} and {plural(len(other), 'seed')}, {both or 'none'} of them in both"


def _points_of(confirmed: Confirmed | None) -> dict[str, ConfirmedPoint]:
    """The networks that were evaluated again, with a spread to say what that is worth."""
    if confirmed is None or confirmed.error_spread is None:
        return {}
    return {each.arch_id: each for each in confirmed.evaluated}


def _error(point: ConfirmedPoint, confirmed: Confirmed) -> float:
    return point.values[confirmed.objectives.index(ERROR)]


def _none(front: Front, records: Sequence[Record], made_by: str) -> Recommendation:
    sentence = "There is no network to take yet: the study has no trials."
    if records:
        sentence = f"There is no network to take: none of the study's trials is complete ({front.statuses_text})."
    reasons = Counter(record.reason for record in records if record.reason)
    notes = [f"{plural(count, 'trial')}: {reason}" for reason, count in reasons.most_common(3)]
    notes += [capitalised(made_with(made_by))] if made_by else []
    return Recommendation(network=None, sentence=sentence, notes=tuple(notes))


class _Choice:
    """The rule, applied to one front."""

    def __init__(self, front: Front, records: Sequence[Record], confirmed: Confirmed | None) -> None:
        self.front, self.records, self.confirmed = front, records, confirmed
        self.objectives = front.objectives
        self.points = _points_of(confirmed)
        members = distinct(front.members)
        self.missing = [row.record for row in members if row.record.arch_id not in self.points]
        again = [
            Candidate(record=row.record, top1_percent=point.top1_percent, values=point.values, seeds=point.n)
            for row in distinct(front.rows)
            if (point := self.points.get(row.record.arch_id)) is not None and point.on_front
        ]
        self.uses_confirmed = bool(again) and not self.missing
        self.elsewhere = self.uses_confirmed and confirmed is not None and confirmed.elsewhere
        self.noise_floor = confirmed.noise_floor if self.elsewhere and confirmed is not None else front.noise_floor
        found = [
            Candidate(record=row.record, top1_percent=100.0 - row.record.error_percent, values=row.values)
            for row in members
        ]
        found = again if self.uses_confirmed else found
        self.candidates = sorted(found, key=lambda each: (self._ms(each), each.values, each.record.trial))

    def recommendation(self) -> Recommendation:
        start, is_knee = self._start()
        alike = [each for each in self.candidates if each is start or not self._told_apart(each, start)]
        chosen = self._fastest(alike)
        published = self._published(chosen)
        roles = self._roles(start if is_knee else None)
        others = [
            replace(role, published=self._published(role.candidate)) for role in roles if role.candidate is not chosen
        ]
        runners_up = tuple(
            each for each in self.candidates if each is not chosen and not self._told_apart(each, chosen)
        )
        return Recommendation(
            network=chosen,
            sentence=self._sentence(chosen, published),
            reason=self._reason(chosen, start, len(alike), is_knee=is_knee),
            published=published,
            runners_up=runners_up,
            own_roles=tuple(name for role in roles if role.candidate is chosen for name in role.names),
            alternatives=tuple(others),
            notes=self._notes(runners_up, others),
            warnings=self._warnings(chosen),
            confirmed=self.confirmed,
        )

    # which

    def _start(self) -> tuple[Candidate, bool]:
        """The knee and True; without one the most accurate and False."""
        found = knee([each.values for each in self.candidates])
        if found is not None:
            return self.candidates[found], True
        error = self.objectives.index(ERROR)
        return min(self.candidates, key=lambda each: (each.values[error], self._ms(each), each.record.trial)), False

    def _fastest(self, candidates: Sequence[Candidate]) -> Candidate:
        """The lowest latency; of those within the noise floor of it the most accurate."""
        lowest = min(map(self._ms, candidates))
        return self._most_accurate(
            [each for each in candidates if not self._apart(MEASURED_OBJECTIVE, self._ms(each), lowest)]
        )

    def _most_accurate(self, candidates: Sequence[Candidate]) -> Candidate:
        return min(candidates, key=lambda each: (-each.top1_percent, self._ms(each), each.record.trial))

    def _roles(self, knee_: Candidate | None) -> tuple[Role, ...]:
        found: dict[int, tuple[Candidate, list[str]]] = {}
        accurate = self._most_accurate(self.candidates)
        chance = 100.0 / max(cost_of(accurate.record).num_classes, 1)
        best = accurate.top1_percent
        least = chance + WITHIN_REASON * (best - chance) if best > chance else best
        within = [each for each in self.candidates if each.top1_percent >= least - 1e-9]
        fastest = min(within, key=lambda each: (self._ms(each), -each.top1_percent, each.record.trial))
        for name, each in ((KNEE, knee_), (MOST_ACCURATE, accurate), (FASTEST, fastest)):
            if each is not None:
                found.setdefault(each.record.trial, (each, []))[1].append(name)
        ordered = sorted(found.values(), key=lambda item: (self._ms(item[0]), item[0].record.trial))
        return tuple(Role(candidate=each, names=tuple(names)) for each, names in ordered)

    # differences

    def _ms(self, candidate: Candidate) -> float:
        return candidate.values[self.objectives.index(MEASURED_OBJECTIVE)]

    def _apart(self, objective: str, one: float, other: float) -> bool:
        noisy = noisy_latency(self.objectives, self.noise_floor)
        if objective == MEASURED_OBJECTIVE and noisy is not None:
            return not noisy.tie(one, other)
        return one != other

    def _told_apart_in(self, objective: str, one: tuple[Record, float], other: tuple[Record, float]) -> bool:
        """Whether two networks differ in an objective other than the error."""
        if objective != BALANCED:
            return self._apart(objective, one[1], other[1])
        first, second = (replace(score_of(record), top1_percent=value) for record, value in (one, other))
        return abs(one[1] - other[1]) > (counting_margin_points(first, second) or 0.0)

    def _told_apart(self, one: Candidate, other: Candidate) -> bool:
        return accuracy_difference(one.record, other.record, self.confirmed).told_apart

    # the published networks

    def _published(self, chosen: Candidate) -> Published | None:
        rows: dict[str, FrontRow] = {}
        for record in self.records:
            published = record.variant is not None and record.arch_id != chosen.record.arch_id
            if self.elsewhere and record.arch_id not in self.points:
                continue  # it has no latency on that device
            if published and (row := self.front.row_of(record)) is not None:
                rows.setdefault(record.arch_id, row)
        found = [self._beside(chosen, row) for row in rows.values()]
        beaten = [each for each in found if each.beaten]
        if beaten:
            # in as many objectives as can be; of those the hardest to beat

            def hardest(each: Published) -> tuple[float, ...]:
                gains = each.accuracy.told_apart + sum(cost.told_apart for cost in each.costs)
                return -gains, each.record.error_percent, latency_of(each.record).corrected_ms, each.record.trial

            return min(beaten, key=hardest)
        return min(found, key=lambda each: (_distance(each), each.record.trial), default=None)

    def _beside(self, chosen: Candidate, row: FrontRow) -> Published:
        own, other = self._values(chosen.record, row.record), self._values(row.record, chosen.record)
        accuracy = accuracy_difference(chosen.record, row.record, self.confirmed)
        costs = tuple(
            CostDifference(
                objective=objective,
                percent=relative_percent(theirs, mine),
                told_apart=self._told_apart_in(objective, (chosen.record, mine), (row.record, theirs)),
            )
            for objective, mine, theirs in zip(self.objectives, own, other, strict=True)
            if objective != ERROR
        )
        told = [each.percent for each in costs if each.told_apart]
        told += [accuracy.points] if accuracy.told_apart else []
        return Published(
            record=row.record,
            beaten=any(gain > 0.0 for gain in told) and not any(gain < 0.0 for gain in told),
            accuracy=accuracy,
            costs=costs,
            sentence=self._against(_variant_of(self.records, row.record) or row.record.label, accuracy, costs),
        )

    def _values(self, record: Record, beside: Record) -> tuple[float, ...]:
        """The objectives of one of two networks: confirmed where both are, else as searched.

        A latency of another device stands beside no network that is told of by the search.
        """
        comparable = self.uses_confirmed or self.confirmed is None or not self.confirmed.elsewhere
        if comparable and record.arch_id in self.points and beside.arch_id in self.points:
            return self.points[record.arch_id].values
        return tuple(OBJECTIVES[name].extract(record) for name in self.objectives)

    # words

    def _against(self, name: str, accuracy: AccuracyDifference, costs: Sequence[CostDifference]) -> str:
        """`+9.0 points and 73 % faster than NAME`, losses after `but`, and what cannot be told at the end."""
        gains: list[str] = []
        losses: list[str] = []
        ties: list[str] = []
        sure = ""
        if accuracy.low is not None and accuracy.high is not None:
            low, high = (sided_text(end, decimals=1, signed=True) for end in (accuracy.low, accuracy.high))
            sure = f"{low} to {high} points at 95 %, {accuracy.basis}"
        if accuracy.told_apart:
            (gains if accuracy.points > 0.0 else losses).append(_points(accuracy.points))
        elif accuracy.basis:
            ties.append(f"an accuracy that cannot be told from its ({_points(accuracy.points)}, {sure})")
        else:
            ties.append("the same accuracy")
        for each in costs:
            amount, named = percent_text(abs(each.percent)), OBJECTIVES[each.objective]
            lower, higher = named.than
            if each.told_apart:
                (gains if each.percent > 0.0 else losses).append(f"{amount} {lower if each.percent > 0.0 else higher}")
            elif each.percent and each.objective == MEASURED_OBJECTIVE:
                ties.append(f"a latency that cannot be told from its (noise floor {floor_text(self.noise_floor)})")
            elif each.percent:
                ties.append("a balanced error that cannot be told from its")
            else:
                ties.append(f"the same {named.noun or named.short.lower()}")
        parts = [_listed(each) for each in (gains, losses) if each]
        if not parts:
            return f"beside {name}, it has {_listed(ties)}"
        last = " but ".join(parts)
        text = f"{last} {'against' if last.endswith('points') else 'than'} {name}"
        if ties:
            text += f", with {_listed(ties)}"
        if accuracy.told_apart and sure:
            text += f" ({sure})"
        return text

    def _sentence(self, chosen: Candidate, published: Published | None) -> str:
        record, names = chosen.record, []
        if record.variant is None and record.searched_trial and self.confirmed is not None:
            names.append(f"{record.searched_trial} of {self.confirmed.design.of}")
        if (named := _variant_of(self.records, record)) is not None and record.variant is None:
            names.append(named)
        itself = f", which is {_listed(names)}" if names else ""
        itself += ", a published network" if named is not None else ""
        against = "" if published is None else f": {published.sentence}"
        return f"Take {self._shown(chosen)}{itself}{against}."

    def _shown(self, candidate: Candidate) -> str:
        return f"{candidate.record.label} ({self._measures(candidate)})"

    def _measures(self, candidate: Candidate) -> str:
        values = zip(self.objectives, candidate.values, strict=True)
        return ", ".join(
            [
                f"{candidate.top1_percent:.2f} % top-1"
                + (f" in the mean of {plural(candidate.seeds, 'seed')}" if candidate.seeds else "")
            ]
            + [OBJECTIVES[name].called(value) for name, value in values if name != ERROR]
        )

    def _reason(self, chosen: Candidate, start: Candidate, alike: int, *, is_knee: bool) -> str:
        rows, count = distinct(self.front.rows), len(self.candidates)
        again = self.uses_confirmed and self.confirmed is not None and self.confirmed.design.purpose == "confirm"
        front = f"the front of {count}{' confirmed' if again else ''} networks"
        if len(rows) == 1:
            return "It is the only network that is complete."
        if len({row.values for row in self.front.rows}) == 1:
            return f"All {len(rows):,} complete networks have the same values: any of them will do."
        if count == 1:
            others = f"{len(self.points):,} confirmed" if again and len(self.points) > 1 else f"{len(rows):,} complete"
            return f"It is the whole front: it beats every other of {others} networks."
        if chosen is not start:
            told = "their accuracies cannot be told apart"
            margin = self._margin(chosen, start)
            if count == 2:
                return f"It is the faster of the two networks on the front; {told}{margin}. Two networks have no knee."
            which = (
                f"the {alike} networks" + ("" if alike == count else f", of {count},") + " on the front whose accuracy"
            )
            other = f"{start.record.label}, the {KNEE if is_knee else MOST_ACCURATE}"
            return f"It is the fastest of {which} cannot be told from that of {other}{margin}."
        if is_knee:
            rule = "it lies farthest below the line between the two ends"
            if len(self.objectives) > 2:
                rule = "it has the smallest sum of objectives, each scaled to the front"
            return f"It is the knee of {front}: {rule}."
        if count == 2:
            return "It is the more accurate of the two networks on the front, which have no knee between them."
        return f"It is the {MOST_ACCURATE} on {front}, which has no knee."

    def _margin(self, one: Candidate, other: Candidate) -> str:
        found = accuracy_difference(one.record, other.record, self.confirmed)
        if found.low is None:
            return ""
        margin = max(round(found.points - found.low, 1), 0.1)
        return f" (differences below {margin:.1f} points may be chance, {found.basis})"

    def _notes(self, runners_up: Sequence[Candidate], others: Sequence[Role]) -> tuple[str, ...]:
        found = []
        if runners_up and len(self.candidates) > 2:  # of two networks the reason says it
            named = _first_listed([self._shown(each) for each in runners_up])
            found.append(f"Its accuracy cannot be told apart from that of {named}.")
        if others:
            roles = (
                f"{self._shown(role.candidate)}, {_listed([f'the {name}' for name in role.names])}" for role in others
            )
            found.append(f"For other needs: {'; '.join(roles)}.")
        spread = None if self.confirmed is None else self.confirmed.error_spread
        curse = winners_curse_of(self.front, None if spread is None else math.sqrt(spread.variance))
        flattered = 0.0 if curse is None or self.uses_confirmed else max(curse.front_points, curse.best_points)
        if curse is not None and flattered >= _SAID_POINTS:
            found.append(curse.sentence)
        return tuple(found)

    def _warnings(self, chosen: Candidate) -> tuple[str, ...]:
        found = []
        if not latency_of(chosen.record).converged:
            found.append(f"The latency of {chosen.record.label} has not converged, so it may be wrong.")
        if self.confirmed is not None and self.confirmed.design.purpose == "confirm" and self.missing:
            named = _first_listed([record.label for record in self.missing])
            found.append(f"The confirmation has too few trainings of {named}: this is of the searched front.")
        return tuple(found)


def _variant_of(records: Sequence[Record], record: Record) -> str | None:
    """The published name of a network, whichever of its trials has it."""
    if record.variant is not None:
        return record.variant
    return next((each.variant for each in records if each.variant is not None and each.arch_id == record.arch_id), None)


def _distance(found: Published) -> float:
    """How far a published network is in latency."""
    ratio = next(1.0 - each.percent / 100.0 for each in found.costs if each.objective == MEASURED_OBJECTIVE)
    return abs(math.log(ratio)) if ratio > 0.0 else math.inf


def _points(value: float) -> str:
    return f"{sided_text(value, decimals=1, signed=True)} points"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else "".join(parts)


def _first_listed(names: Sequence[str]) -> str:
    left = len(names) - _MOST_NAMED
    return _listed([*names[:_MOST_NAMED], *([f"{left} more"] if left > 0 else [])])


# A network by a rule of one's own: `knee`, `accuracy`, `latency`, or a budget such as `latency<=3.5`.
#
# A budget on latency, params or macs takes the most accurate network within it; a budget on error (or accuracy) takes
# the fastest. Budgets look at every complete record, since the best within one on `params` need not be on a front of
# error and latency. `recommended` is no rule on a front alone: `recommendation_of` has it.

RULES = ("knee", "accuracy", "latency")
GRAMMAR = (
    "recommended, knee, accuracy, latency, latency<=MS, error<=PERCENT, accuracy>=PERCENT, "
    "params<=N or macs<=N (k, M, G)"
)

_BUDGET = re.compile(r"([a-z_0-9]+)\s*(<=|>=|<|>|==?)\s*(.*)")
_NUMBER = re.compile(r"([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(ms|%|[kKmMgG])?")
_SCALE = {"k": 1e3, "m": 1e6, "g": 1e9}
# budget name -> objective that it limits, units that may follow its number
_BUDGETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "latency": ("latency_ms", ("ms",)),
    "error": ("error_percent", ("%",)),
    "accuracy": ("error_percent", ("%",)),
    "params": ("params", ("k", "m", "g")),
    "macs": ("macs", ("k", "m", "g")),
}


@dataclass(frozen=True, kw_only=True)
class SelectionRule:
    """A parsed rule: the knee, or what is minimised, of all or where an `objective` is at most so much (its unit).

    `asked`: what a budget limits as it was typed; the accuracy is no objective.
    """

    knee: bool = False
    minimise: str = "error_percent"
    objective: str | None = None
    at_most: float = math.inf
    asked: str = ""


def parse_rule(text: str) -> SelectionRule:
    """The rule that a person wrote. Raises ConfigError saying what is allowed."""
    rule = text.strip()
    if rule in RULES:
        return SelectionRule(knee=rule == "knee", minimise="latency_ms" if rule == "latency" else "error_percent")
    budget = _BUDGET.fullmatch(rule)
    if budget is None or budget[1] not in _BUDGETS:
        near = nearest(text, (RECOMMENDED, *RULES))
        meant = f"did you mean '{near}'? " if near else ""
        raise ConfigError(f"unknown rule '{text}'", hint=f"{meant}rules are {GRAMMAR}")
    name, sign, amount = budget.groups()
    if name == "accuracy" and sign != ">=":
        raise _wrong(text, "accuracy can only be asked to be >= a percentage")
    if name != "accuracy" and sign != "<=":
        raise _wrong(text, f"{name} can only be limited with <=")
    objective, units = _BUDGETS[name]
    limit = _amount(text, amount, units)
    return SelectionRule(
        minimise="latency_ms" if objective == "error_percent" else "error_percent",
        objective=objective,
        at_most=100.0 - limit if name == "accuracy" else limit,
        asked=name,
    )


def select(front: Front, rule: str) -> Record:
    """The record that a rule chooses; ties go to the lower latency, then error, params and trial number.

    Raises ConfigError for a rule that cannot be read or that nothing satisfies (naming the nearest; a front may have
    no knee), and ArchsearchError if there is no complete trial to choose from.
    """
    parsed = parse_rule(rule)
    if not front.rows:
        raise ArchsearchError("no complete trial to choose from", hint="run the study first")
    if parsed.knee:
        if front.knee is None:
            raise ConfigError(
                f"the front ({plural(len(distinct(front.members)), 'network')}) has no knee between its ends",
                hint="choose by another rule: recommended, accuracy or latency",
            )
        return front.knee.record
    records = [row.record for row in front.rows]
    if parsed.objective is not None:
        limited = OBJECTIVES[parsed.objective]
        # 100 - x is not exact in binary, so a limit also admits what differs from it by rounding alone
        slack = 1e-9 * max(1.0, abs(parsed.at_most))
        within = [record for record in records if limited.extract(record) <= parsed.at_most + slack]
        if not within:
            closest = min(records, key=lambda record: (limited.extract(record), record.trial))
            value = limited.extract(closest)
            shown = f"{100.0 - value:.2f} % top-1" if parsed.asked == "accuracy" else limited.called(value)
            raise ConfigError(
                f"no complete trial satisfies '{rule.strip()}'", hint=f"the nearest is {closest.label} with {shown}"
            )
        records = within
    order = [OBJECTIVES[name].extract for name in (parsed.minimise, "latency_ms", "error_percent", "params")]
    return min(records, key=lambda record: (*(extract(record) for extract in order), record.trial))


def _amount(rule: str, text: str, units: tuple[str, ...]) -> float:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise _wrong(rule, f"'{text.strip()}' is not a number" if text.strip() else "lacks the number")
    number, unit = float(match.group(1)), (match.group(2) or "").lower()
    if unit and unit not in units:
        raise _wrong(rule, f"the unit '{match.group(2)}' does not fit; allowed: {', '.join(units)}")
    if not math.isfinite(number):
        raise _wrong(rule, f"'{text.strip()}' is not finite")
    return number * _SCALE.get(unit, 1.0)


def _wrong(rule: str, what: str) -> ConfigError:
    return ConfigError(f"rule '{rule}': {what}", hint=f"rules are {GRAMMAR}")
