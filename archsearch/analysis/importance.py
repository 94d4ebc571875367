"""How much each choice mattered for each objective among the networks that a search tried: what `search.importance`
finds. Observational: the search chose the networks, and chose what looked good more often."""

from __future__ import annotations

from dataclasses import dataclass

OBSERVATIONAL = "observational: the search chose the networks, so this shows where differences went along with a choice"


@dataclass(frozen=True, kw_only=True)
class Importance:
    """One choice in one table.

    Attributes:
        choice: as the search space names it.
        share: of the importance of all choices together, in [0, 1].
        chance: what it got where the values were shuffled over the networks (95% quantile), as a share of the same
            total, 1 at most; None if no shuffles were made. A share below it tells nothing.
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
class ImportanceTable:
    """The importances of all choices for one objective by one method, the largest first.

    Attributes:
        objective: its name.
        method: "PED-ANOVA" or "fANOVA".
        question: what the method's shares are shares of, in a sentence.
        networks: that it was worked out from.
        rows: empty if nothing could be told, and then `reason` says why.
    """

    objective: str
    method: str
    question: str
    networks: int
    rows: tuple[Importance, ...]
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Importances:
    """All tables of one study.

    Attributes:
        tables: one for each objective and method, in that order.
        networks: complete networks of the search space (equal ones counted once).
        left_out: complete records without a point of the search space, such as published variants outside it.
        constant: choices that had one value in all networks, and so have no importance.
        reason: why there are no tables; "" if there are.
        note: what may not be concluded.
    """

    tables: tuple[ImportanceTable, ...]
    networks: int
    left_out: int
    constant: tuple[str, ...]
    reason: str = ""
    note: str = OBSERVATIONAL

    def _repr_html_(self) -> str:
        from archsearch.analysis.display import html_of

        return html_of(self)

    def table(self, objective: str, method: str) -> ImportanceTable | None:
        """The table of one objective by one method; None if there is none."""
        return next((each for each in self.tables if (each.objective, each.method) == (objective, method)), None)
