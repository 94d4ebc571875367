"""How much each choice mattered for each objective among the networks that a search tried: what `search.importance`
finds. Observational: the search chose the networks, and chose what looked good more often."""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.analysis.levels import OBSERVATIONAL, counts_text
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.table import Cell, Column, InNotebooks, Table
from archsearch.text import capitalised, some_of

_NAMED = 5  # choices that a sentence names


@dataclass(frozen=True, kw_only=True)
class Importance:
    """One choice in one ranking.

    Attributes:
        share: of the importance of all choices together, in [0, 1].
        chance: what the largest of all choices' shares stays below in 95% of the shuffles of the values over the
            networks, as a share of the same total, 1 at most; None if no shuffles were made. A share below it tells
            nothing.
        levels: different values among the networks.
    """

    choice: str
    share: float
    chance: float | None
    levels: int

    @property
    def told_from_chance(self) -> bool | None:
        """Whether the share is above what shuffled values give; None where that is not known."""
        return None if self.chance is None else self.share > self.chance


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The importances of all choices for one objective by one method, the largest first.

    Attributes:
        method: "PED-ANOVA" or "fANOVA".
        question: what the method's shares are shares of, in a sentence.
        rows: empty if nothing could be told, and then `reason` says why.
    """

    objective: str
    method: str
    question: str
    networks: int
    rows: tuple[Importance, ...]
    reason: str = ""

    @property
    def shuffled(self) -> bool:
        """Whether it is known what chance gives."""
        return any(row.chance is not None for row in self.rows)

    @property
    def sentence(self) -> str:
        """Which choices are above chance; where that is not known, which have the largest shares."""
        told = [row for row in self.rows if row.told_from_chance]
        rows = told if self.shuffled else self.rows[:_NAMED]
        named = some_of([f"{row.choice} ({100.0 * row.share:.1f} %)" for row in rows], _NAMED)
        what = "Above chance" if self.shuffled else "The largest shares"
        name = OBJECTIVES[self.objective].short.lower()
        return f"{what} for {name} by {self.method}, of {len(self.rows)} choices: {named or 'none'}."


@dataclass(frozen=True, kw_only=True)
class Importances(InNotebooks):
    """What mattered in one study: a `archsearch.table.Result`.

    Attributes:
        study: its name; "" if it has no trial.
        rankings: one for each objective and method, in that order.
        networks, left_out, constant: as `archsearch.analysis.levels` counts them.
        reason: why there are no rankings; "" if there are.
        note: what may not be concluded.
    """

    study: str
    rankings: tuple[Ranking, ...]
    networks: int
    left_out: int
    constant: tuple[str, ...]
    reason: str = ""
    note: str = OBSERVATIONAL

    def ranking(self, objective: str, method: str) -> Ranking | None:
        """The ranking of one objective by one method; None if there is none."""
        return next((each for each in self.rankings if (each.objective, each.method) == (objective, method)), None)

    @property
    def told(self) -> tuple[Ranking, ...]:
        """The rankings that tell something."""
        return tuple(each for each in self.rankings if each.rows)

    @property
    def choices(self) -> tuple[str, ...]:
        """The choices by their largest share for any objective; by name where equal."""
        largest: dict[str, float] = {}
        for row in (row for ranking in self.told for row in ranking.rows):
            largest[row.choice] = max(largest.get(row.choice, 0.0), row.share)
        return tuple(sorted(largest, key=lambda choice: (-largest[choice], choice)))

    @property
    def title(self) -> str:
        """What was asked, of which study."""
        return f"Importance of the choices (observational): study {self.study}"

    @property
    def empty(self) -> str | None:
        """Why there is nothing to show."""
        if self.told:
            return None
        why = self.reason or next((each.reason for each in self.rankings if each.reason), "no choice varied")
        return f"No importance to show: {why}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """What may not be concluded, from how many networks, and what each method's shares are of."""
        questions = dict.fromkeys(f"{each.method}: share {each.question}" for each in self.told)
        return (capitalised(self.note), counts_text(self.networks, self.left_out, self.constant), *questions)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Of each ranking the choices that stand out."""
        return tuple(each.sentence for each in self.told)

    @property
    def method(self) -> str:
        """How a share is told from chance; empty where nothing was shuffled."""
        if not any(each.shuffled for each in self.told):
            return ""
        return (
            "Chance: what the largest share of any choice stays below in 95 % of shuffles of the values over the "
            "networks. A share below it tells nothing; where no choice acts, one is above it in 5 % of studies."
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """The rankings that tell nothing, and why."""
        return tuple(
            f"{each.method} for {OBJECTIVES[each.objective].short.lower()}: {each.reason}"
            for each in self.rankings
            if each.reason
        )

    def tables(self) -> tuple[Table, ...]:
        """A row for each choice, the most important first, with its shares in every ranking."""
        columns = [Column(title="Choice", whole=True), Column(title="Levels", decimals=0)]
        for ranking in self.told:
            name, key = OBJECTIVES[ranking.objective].short, f"{ranking.objective}_{ranking.method}".lower()
            key = key.replace("-", "_")
            columns.append(Column(title=f"{name}: {ranking.method}", key=f"{key}_share_percent", unit="%", decimals=1))
            if ranking.shuffled:
                columns += [
                    Column(title=f"{name}: chance", key=f"{key}_chance_percent", unit="%", decimals=1, wide=True),
                    Column(title=f"{name}: above chance", key=f"{key}_told_from_chance", wide=True),
                ]
        rows = []
        for choice in self.choices:
            levels = next(row.levels for ranking in self.told for row in ranking.rows if row.choice == choice)
            rows.append((choice, levels, *(cell for ranking in self.told for cell in _cells(ranking, choice))))
        return (Table(title="Shares of the choices", columns=tuple(columns), rows=tuple(rows)),)


def _cells(ranking: Ranking, choice: str) -> tuple[Cell, ...]:
    """A choice's share and, where it is known, what chance gives (both in percent) and whether it is above that."""
    found = next((row for row in ranking.rows if row.choice == choice), None)
    share = None if found is None else 100.0 * found.share
    if not ranking.shuffled:
        return (share,)
    chance = None if found is None or found.chance is None else 100.0 * found.chance
    return (share, chance, None if found is None else found.told_from_chance)
