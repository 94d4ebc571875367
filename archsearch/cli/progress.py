"""Progress of long commands: a live view in a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from archsearch.cli.console import doing
from archsearch.errors import shortened
from archsearch.records import Record, TrialStatus
from archsearch.search.estimate import Estimate
from archsearch.search.runtime import RunCallbacks, RunProgress
from archsearch.store.claims import HOLDS_SLOT
from archsearch.table import LATENCY, NETWORK, TOP1, TRIAL, Cell, Column, Table, table_of
from archsearch.text import duration, plural, rough_duration

if TYPE_CHECKING:
    from archsearch.records import Epoch
    from archsearch.store.studies import StudyInfo
    from archsearch.training.retrain import Pace

_LAST_TRIALS = 10
_TABLE_LINES = 7  # of a table beside its rows, with headings of three lines
_LEAST_OF_FRONT = 3
_SILENT_SECONDS = 60.0  # where no terminal watches, what runs is said at least so often
_TOLD_PICTURES = 100
_TOLD_SECONDS = 3.0  # of an epoch, before its steps say how long the rest takes; a shorter one says it at its end


class _Display:
    """A live view where a terminal watches that can draw it, and nothing of its own elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_interactive else None
        self._began = time.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        """Since it was entered."""
        return time.monotonic() - self._began

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        if self._live is not None:
            self._live.__enter__()
        return self

    def decoded(self, done: int, pictures: int) -> None:
        """So many pictures are decoded, which is done once."""
        if done % _TOLD_PICTURES and done < pictures:
            return
        if self._live is not None:
            self._live.update(Text(f"pictures decoded: {done:,} of {pictures:,}"))
        elif done % (10 * _TOLD_PICTURES) == 0:
            self._console.print(f"pictures decoded: {done:,} of {pictures:,}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)


class RunDisplay(_Display, RunCallbacks):
    """Shows how a plan is made, and its run: the last trials, the front so far, the time left; entered for the run.

    Attributes:
        ending: why the run started no new trial although slots were left; None if it did.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.ending: str | None = None
        self._say: Callable[[str], None] | None = None  # how far the plan is
        self._study: StudyInfo | None = None
        self._known: set[int] | None = None
        self._front: tuple[tuple[Record, ...], Table] | None = None  # of the records that it was found from
        self._told: float | None = None  # when a line was last printed of the run

    @contextmanager
    def planning(self, what: str, *, still: bool = False) -> Iterator[None]:
        """While a plan is made: what is being done. `still`: see `doing`."""
        with doing(what, self._console, still=still) as self._say:
            yield

    def predictors(self, done: int, networks: int) -> None:
        """See `RunCallbacks`."""
        if self._say is not None:
            self._say(f"predictors that cost no training: {done} of {networks}")

    def pool_step(self, step: str) -> None:
        """See `RunCallbacks`."""
        self._console.print(f"pool      {step}", markup=False)

    def begun(self, study: StudyInfo) -> None:
        """Say what was found out of the study's batch when it began."""
        from archsearch.analysis.conditions import batch_sentence

        self._study = study
        found = study.latency_batch
        if found is not None:
            mark = "[yellow]warning:[/] " if found.on_launch_floor else "batch     "
            self._console.print(f"{mark}{escape(batch_sentence(found))}")

    def progressed(self, progress: RunProgress) -> None:
        """Show how far the run is, and once why it ends early."""
        self._show(progress)
        if progress.ending is not None and self.ending is None:
            self.ending = progress.ending
            running = progress.workers and progress.counts.get("running", 0)
            finishing = "; running ones are finished" if running else ""
            self._console.print(f"{progress.ending}: no new trial starts{finishing}", markup=False)

    def stopping(self) -> None:
        """Say that Ctrl-C was heard."""
        self._console.print("stopping: the workers give their trials back", markup=False)

    def _show(self, progress: RunProgress) -> None:
        if self._live is not None:
            self._live.update(self._view(progress))
            return
        ended = [record for record in progress.records if record.status is not TrialStatus.RUNNING]
        if self._known is None:  # what an earlier run left is not news
            self._known = {record.trial for record in ended}
            if ended:
                self._print(
                    f"continuing: {progress.done} of {plural(progress.total, 'trial')} are done"
                    if progress.done <= progress.total
                    else f"{progress.done} trials are done already, more than the {progress.total} asked for"
                )
        news = [record for record in ended if record.trial not in self._known]
        # Not `progress.done`: the counts are read a moment earlier than the records.
        done = sum(record.status in HOLDS_SLOT for record in ended if record.trial in self._known)
        for record in news:
            self._known.add(record.trial)
            done += record.status in HOLDS_SLOT
            self._print(f"[{done}/{progress.total}] {line(record)}{_left(progress)}")
        began = self._told is None and progress.running and all(each.name for each in progress.running)
        if progress.running and (began or time.monotonic() - (self._told or math.inf) > _SILENT_SECONDS):
            running = ", ".join(_running_text(row) for row in self._running(progress))
            self._print(f"running for {duration(progress.elapsed_seconds)}: {running}")

    def _print(self, text: str) -> None:
        self._told = time.monotonic()
        self._console.print(text, markup=False)

    def _view(self, progress: RunProgress) -> Group:
        """What is done and left, what runs, the front so far, and the last trials if there is room."""
        spent = f"{duration(progress.elapsed_seconds)} so far{_left(progress)}"
        bar = ProgressBar(total=progress.total, completed=progress.done, width=60)
        epoch, took, device = (Column(title=title, whole=True) for title in ("Epoch", "Time", "Device"))
        columns = (TRIAL, NETWORK, epoch, LATENCY, took, device)
        tables = [Table(title="Running", columns=columns, rows=tuple(self._running(progress))).without_empty_columns()]
        room = self._console.height - 3 - len(tables[0].rows) - _TABLE_LINES
        if self._study is not None and self._study.config.get("design") is None:  # what a design compares is no front
            front = self._front_table(progress, self._study.config["objectives"])
            most = max(room - _TABLE_LINES, _LEAST_OF_FRONT)
            if len(front.rows) > most:
                title = f"{front.title}: the fastest {most} of {len(front.rows)}"
                front = replace(front, title=title, rows=front.rows[:most])
            tables.append(front)
            room -= len(front.rows) + _TABLE_LINES
        tables.append(_last_table(progress.records, min(_LAST_TRIALS, room - _TABLE_LINES)))
        ready = progress.workers - len(progress.running)
        return Group(
            Text(f"{progress.done} of {plural(progress.total, 'trial')}, {spent}. Ctrl-C ends cleanly."),
            Padding(bar, 0),  # a bar alone does not end its line
            *([Text(f"{plural(ready, 'worker')} getting ready")] if ready > 0 and progress.ending is None else []),
            *(table.to_rich(width=self._console.width) for table in tables if table.rows),
        )

    def _running(self, progress: RunProgress) -> list[tuple[Cell, ...]]:
        """Of each trial that runs: number, network, epochs done, latency (ms), time, device."""
        known = {record.trial: _name(record) for record in progress.records}
        epochs = None if self._study is None else self._study.config.get("proxy", {}).get("epochs")
        return [
            (
                each.trial,
                known.get(-1 if each.trial is None else each.trial, each.name) or "to be suggested",
                str(each.epoch) if epochs is None else f"{each.epoch}/{epochs}",
                "measuring" if each.latency_ms is None else each.latency_ms,
                duration(each.seconds),
                each.device if each.device not in ("", "cpu") else None,
            )
            for each in progress.running
        ]

    def _front_table(self, progress: RunProgress, objectives: Sequence[str]) -> Table:
        """The front so far, found anew only where trials have ended: this is asked for twice a second."""
        from archsearch.analysis.front import front_of, networks_table

        if self._front is None or self._front[0] is not progress.records:
            front = front_of(progress.records, objectives, noise_floor=progress.noise_floor)
            members = networks_table(front.members, title="Front so far").without_empty_columns()
            self._front = (progress.records, members)
        return self._front[1]


def _running_text(row: tuple[Cell, ...]) -> str:
    trial, network, epoch, latency, _time, _device = row
    named = f"trial {trial} {network}" if trial is not None else str(network)
    return f"{named} (epoch {epoch}, {f'{latency:.3f} ms' if isinstance(latency, float) else latency})"


def _last_table(records: Sequence[Record], most: int) -> Table:
    """The trials that ended last, at most so many; one that was interrupted comes back as another."""
    going_on = (TrialStatus.RUNNING, TrialStatus.INTERRUPTED)
    ended = [record for record in records if record.status not in going_on]
    return table_of(
        "Last trials",
        ended[-most:] if most > 0 else [],
        TRIAL,
        (NETWORK, _name),
        (TOP1, lambda each: each.score.top1_percent if each.score and each.status is not TrialStatus.STOPPED else None),
        (LATENCY, lambda each: None if each.latency is None else each.latency.corrected_ms),
        (Column(title="Took", whole=True), lambda each: None if each.seconds is None else duration(each.seconds)),
        (Column(title="Status"), _short_status),
        (Column(title="Params", decimals=0, wide=True), lambda each: None if each.cost is None else each.cost.params),
    ).without_empty_columns()


def line(record: Record) -> str:
    """One ended trial in one line."""
    named = f"trial {record.trial} {_name(record)}"
    if record.status is TrialStatus.COMPLETE and record.score is not None:
        named += f": top-1 {record.score.top1_percent:.2f} % (validation)"
    else:
        named += f": {_status(record)}"
    if record.status not in (TrialStatus.COMPLETE, TrialStatus.STOPPED):
        return named
    latency = "" if record.latency is None else f", latency {record.latency.corrected_ms:.3f} ms"
    params = "" if record.cost is None else f", {record.cost.params:,} params"
    return f"{named}{latency}{params}{'' if record.seconds is None else f', {duration(record.seconds)}'}"


def _short_status(record: Record) -> str | None:
    if record.status is TrialStatus.STOPPED and record.early_stop is not None:
        return f"stopped after epoch {record.early_stop.epoch} of {record.early_stop.of_epochs}"
    return None if record.status is TrialStatus.COMPLETE else shortened(_status(record), 60)


def _status(record: Record) -> str:
    early = record.early_stop
    if record.status is TrialStatus.STOPPED and early is not None:
        # a top-1 of fewer epochs stands in no column beside whole ones
        text = f"stopped after epoch {early.epoch} of {early.of_epochs} at top-1 {100 - early.error_percent:.2f} %"
        optimistic = early.optimistic_error_percent
        return text if optimistic is None else f"{text}, at the end {100 - optimistic:.2f} % at best"
    if record.reason and record.status is not TrialStatus.COMPLETE:
        return f"{record.status.value}: {record.reason.splitlines()[0][:100]}"
    return record.status.value


def _name(record: Record) -> str:
    if record.point is None:
        return record.variant or record.arch_id or "-"
    name = f"searched {record.point}" if record.searched_trial else record.point
    return name if record.score is None else f"{name} (seed {record.score.seed})"


def _left(progress: RunProgress) -> str:
    seconds = progress.seconds_left
    return "" if seconds is None or progress.done >= progress.total else f", {rough_duration(seconds)} left"


class RetrainDisplay(_Display):
    """Shows retrainings: how long they will take; then one bar over all networks, seeds and epochs in a terminal, one
    line an epoch elsewhere.

    `epochs`, `seeds`: of each network; `costs`: of an epoch of each beside one of the others, for the time left.
    """

    def __init__(self, *, epochs: int, seeds: int, console: Console, costs: Sequence[float] = (1.0,)) -> None:
        super().__init__(console)
        self._epochs, self._seeds, self._costs = epochs, seeds, costs
        self._place, self._later, self._label = 0, tuple(range(1, len(costs))), ""
        self._trained = 0.0  # cost of the epochs of this call
        self._begins = True  # whether no step of the network in hand is known of
        self._beside = 0.0  # seconds that went into no epoch (images, waiting), less what epochs had of earlier calls
        self._last_end = 0.0  # of an epoch, or of what is part of none
        self._told = False  # how long it will take
        self._last = Text()  # the last finished epoch

    def begin(self, place: int, label: str, *, later: Sequence[int]) -> None:
        """The network at this place of the list is next, and then those at the later ones, in whatever order."""
        self._place, self._later, self._label = place, tuple(later), f"{label} "
        self._begins = True

    def decoded(self, done: int, pictures: int) -> None:
        """So many pictures are decoded, which is part of no epoch."""
        super().decoded(done, pictures)
        if done == pictures:
            self._leave_out(self.elapsed_seconds)

    def paced(self, seed: int, pace: Pace) -> None:
        """Show how far an epoch is; once, as soon as its steps tell, say how long everything will take."""
        own = pace.step - pace.earlier
        so_far = own / pace.steps * pace.epoch_seconds
        if self._begins:
            self._begins = False
            self._leave_out(self.elapsed_seconds - so_far)
        done = self._done(seed, pace.epochs + pace.step / pace.steps)
        left = (self._total - done) / self._costs[self._place] * pace.epoch_seconds
        if not self._told and so_far >= _TOLD_SECONDS:
            self._told = True
            expected = Estimate(first_seconds=(left,), basis=f"from its first {plural(own, 'step')}")
            self._console.print(expected.sentence, markup=False)
        doing = f"{self._label}seed {seed} epoch {pace.epochs + 1}/{self._epochs}: step {pace.step}/{pace.steps}"
        self._draw(Text(f"{doing}, {rough_duration(left)} left"), done)

    def show(self, seed: int, epoch: Epoch) -> None:
        """Show one finished epoch."""
        done = self._done(seed, epoch.epoch)
        self._trained += self._costs[self._place]
        now = self.elapsed_seconds
        self._beside -= max(0.0, epoch.train_seconds - (now - self._last_end))  # an earlier call had begun it
        self._begins, self._last_end = False, now
        seconds = (self._last_end - self._beside) / self._trained * (self._total - done)
        left = f", {rough_duration(seconds)} left" if seconds >= 1 else ""
        self._last = Text(
            f"{self._label}seed {seed} epoch {epoch.epoch}/{self._epochs}: loss {epoch.train_loss:.4f}, "
            f"test top-1 {epoch.top1_percent:.2f} %, lr {epoch.learning_rate:.2g}{left}"
        )
        if self._live is None:
            self._console.print(self._last)
        self._draw(Text(), done)

    def _leave_out(self, until: float) -> None:
        """What went by since the last epoch, up to this time, is not part of the next one."""
        self._beside += max(0.0, until - self._last_end)
        self._last_end = max(until, self._last_end)

    @property
    def _total(self) -> float:
        """Cost of everything."""
        return sum(self._costs) * self._seeds * self._epochs

    def _done(self, seed: int, epochs: float) -> float:
        """Cost of what is done after so many epochs of a seed of the network in hand."""
        own = self._costs[self._place]
        left = own + sum(self._costs[place] for place in self._later)
        return self._total - left * self._seeds * self._epochs + own * (seed * self._epochs + epochs)

    def _draw(self, doing: Text, done: float) -> None:
        if self._live is not None:
            self._live.update(Group(self._last, doing, ProgressBar(total=self._total, completed=done, width=60)))
