"""Where the seconds of a study's trials go: a table and a picture, of a study that was run or of one that is run here.

    python benchmarks/trial_timeline.py STUDY [--storage URL] [--save FILE.html|FILE.png]
    python benchmarks/trial_timeline.py STUDY --run [--against CHECKOUT|COMMIT] [--pairs 3] [--workers 2] [--trials N]
                                        [--set KEY=VALUE ...] [--data-dir DIR] [--save FILE.html|FILE.png]

Without `--run`, STUDY is a stored study's name. A worker's time runs from its first trial's claim to its last one's
end; the table divides it, for each worker and for all: training, scoring, measuring (making ready and visits), waiting
for the device, sleeping until a visit is due, the sampler, building, the database and stopping rule, and between two
trials: storing the record, telling Optuna, claiming the next place. `other` is none of these. Trials of versions that
did not record their phases, and those that ended without a score, are divided by what their records have: training,
and measuring with all its waiting and sleeping.

`idle` is waiting and sleeping: time in which a worker neither trains nor measures nor decides. The picture is one bar
for each worker, along the time of the run.

With `--run`, STUDY is a shipped study or a YAML file and is run in a folder for temporary files. `--against` runs it
with another version as well, a folder with a checkout or a commit of this repository (checked out beside it), in turn,
`--pairs` times each, the order swapped after each pair: the machine's state moves both. It prints trials an hour of
each (places filled over the wall time of the whole command, start-up included), their ratio pair by pair, and the
median ratio. The other version records no phases before it has this file; its table then has what its records have.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import plotly.graph_objects as go
from help_time import archsearch_program
from sqlalchemy import select

from archsearch.errors import ArchsearchError
from archsearch.plots.page import write_png
from archsearch.records import Record
from archsearch.search.config import load_study
from archsearch.store.claims import HOLDS_SLOT
from archsearch.store.database import Database
from archsearch.store.schema import TrialRow
from archsearch.store.studies import find_study
from archsearch.store.trials import load_records

DEFAULT_STORAGE = "sqlite:///runs/archsearch.db"
REPOSITORY = Path(__file__).resolve().parent.parent
BETWEEN, OTHER = "between trials", "other"
IDLE = ("wait", "sleep")
COLOURS = {
    "suggest": "#aa3377", "build": "#bbbbbb", "measure": "#4477aa", "measure, wait and sleep": "#4477aa",
    "wait": "#ee6677", "sleep": "#cc3311", "train": "#228833", "score": "#99cc99", "store": "#ccbb44",
    OTHER: "#dddddd", BETWEEN: "#666666",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One trial of one worker, or the time before its next one: seconds by what they went into."""

    worker: str
    trial: int | None
    began: datetime
    parts: dict[str, float]

    @property
    def seconds(self) -> float:
        """Of the whole stretch."""
        return sum(self.parts.values())


def parts_of(record: Record) -> dict[str, float]:
    """What a trial's seconds went into, as far as its record says."""
    if record.phases is not None:
        parts = {name.removesuffix("_seconds"): seconds for name, seconds in asdict(record.phases).items()}
    else:
        parts = {"measure, wait and sleep": 0.0 if record.latency is None else record.latency.measure_seconds}
        parts["train"] = 0.0 if record.score is None else record.score.train_seconds
    return parts | {OTHER: max(0.0, (record.seconds or 0.0) - sum(parts.values()))}


def stretches(database: Database, study: str) -> list[Stretch]:
    """The ended trials of a study worker by worker, and what lies between them. A replay has its own short time."""
    study_id = find_study(database, study).id
    records = {record.trial: record for record in load_records(database, study_id)}
    query = (
        select(TrialRow.worker_id, TrialRow.number, TrialRow.started_at, TrialRow.seconds)
        .where(
            TrialRow.study_id == study_id,
            TrialRow.seconds.is_not(None),
            TrialRow.number.is_not(None),
            TrialRow.worker_id.is_not(None),
        )
        .order_by(TrialRow.worker_id, TrialRow.started_at)
    )
    with database.reading() as session:
        rows = session.execute(query).all()
    found: list[Stretch] = []
    ended: dict[str, datetime] = {}
    for worker, number, began, seconds in rows:
        assert worker is not None and number is not None and seconds is not None  # the query says so
        if worker in ended and began > ended[worker]:
            gap = (began - ended[worker]).total_seconds()
            found.append(Stretch(worker=worker, trial=None, began=ended[worker], parts={BETWEEN: gap}))
        record = records[number]
        parts = {OTHER: seconds} if seconds == 0 else parts_of(record)
        found.append(Stretch(worker=worker, trial=number, began=began, parts=parts))
        ended[worker] = began + timedelta(seconds=seconds)
    if not found:
        raise ArchsearchError(f"study '{study}' has no ended trial")
    return found


def totals(found: Sequence[Stretch]) -> dict[str, float]:
    """Seconds by part, in the order of COLOURS; only those that there are."""
    sums = {part: math.fsum(one.parts.get(part, 0.0) for one in found) for part in COLOURS}
    return {part: seconds for part, seconds in sums.items() if any(part in one.parts for one in found)}


def print_table(found: Sequence[Stretch]) -> None:
    """One column for each worker and one for all: seconds and shares."""
    workers = sorted({one.worker for one in found})
    columns = [totals([one for one in found if one.worker == worker]) for worker in workers] + [totals(found)]
    trials = [
        sum(one.trial is not None and (worker in (one.worker, None)) for one in found) for worker in (*workers, None)
    ]
    print(f"{'seconds':<26}" + "".join(f"{f'worker {n + 1}':>16}" for n in range(len(workers))) + f"{'all':>16}")
    for part in columns[-1]:
        cells = ((column.get(part, 0.0), sum(column.values())) for column in columns)
        print(f"{part:<26}" + "".join(f"{seconds:>9.1f} {seconds / whole:>5.1%}" for seconds, whole in cells))
    print(f"{'in all':<26}" + "".join(f"{sum(column.values()):>9.1f}{'':>7}" for column in columns))
    print(f"{'trials':<26}" + "".join(f"{count:>9}{'':>7}" for count in trials))
    if "sleep" in columns[-1]:
        shares = (sum(column.get(part, 0.0) for part in IDLE) / sum(column.values()) for column in columns)
        print(f"{'idle: wait and sleep':<26}" + "".join(f"{share:>15.1%} " for share in shares))


def picture(found: Sequence[Stretch], title: str) -> go.Figure:
    """One bar for each worker along the time of the run; within a trial the parts stand in one order, not in time's."""
    first = min(one.began for one in found)
    names = {worker: f"worker {n + 1}" for n, worker in enumerate(sorted({one.worker for one in found}))}
    figure = go.Figure()
    for part in totals(found):
        bases, lengths, rows, texts = [], [], [], []
        for one in found:
            if one.parts.get(part, 0.0) <= 0:
                continue
            before = 0.0
            for other in COLOURS:
                if other == part:
                    break
                before += one.parts.get(other, 0.0)
            bases.append((one.began - first).total_seconds() + before)
            lengths.append(one.parts[part])
            rows.append(names[one.worker])
            texts.append(
                f"{'between trials' if one.trial is None else f'trial {one.trial}'}: {part} {one.parts[part]:.2f} s"
            )
        figure.add_bar(
            x=lengths, base=bases, y=rows, orientation="h", name=part, marker_color=COLOURS[part], hovertext=texts,
            hoverinfo="text", marker_line_width=0,
        )  # fmt: skip
    figure.update_layout(
        title=title, barmode="overlay", xaxis_title="seconds since the first trial began", template="plotly_white",
        legend_traceorder="normal", yaxis_autorange="reversed",
    )  # fmt: skip
    return figure


def save(figure: go.Figure, path: Path) -> None:
    """As a page of its own or as a PNG, by the name's ending."""
    if path.suffix == ".png":
        write_png(figure, path, height=120 + 110 * max(2, len({row for bar in figure.data for row in bar.y})))
    else:
        figure.write_html(path)
    print(f"wrote {path}")


@contextmanager
def checkout(where: str) -> Iterator[Path]:
    """A folder with another version: the one that is named, or one of a commit, for as long as it is used."""
    if Path(where).is_dir():
        yield Path(where).resolve()
        return
    with tempfile.TemporaryDirectory(prefix="archsearch-against-") as folder:
        path = Path(folder) / "checkout"
        git = ["git", "-C", str(REPOSITORY), "worktree"]
        subprocess.run([*git, "add", "--detach", "--quiet", str(path), where], check=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True)


def run(options: argparse.Namespace, version: Path, folder: Path) -> tuple[str, float]:
    """Run the study with one version in an empty folder; gives the database and the wall seconds of the command."""
    url = f"sqlite:///{folder / 'study.db'}"
    words = ["run", "--study", options.study, "--workers", str(options.workers), "--storage", url]
    words += ["--trials", str(options.trials)] if options.trials else []
    words += ["--data-dir", str(options.data_dir.resolve())] if options.data_dir else []
    for change in options.set:
        words += ["--set", change]
    began = time.perf_counter()
    with (folder / "run.log").open("wb") as log:
        subprocess.run(
            [archsearch_program(), *words], cwd=folder, stdout=log, stderr=log, check=True,
            env=os.environ | {"PYTHONPATH": str(version)},
        )  # fmt: skip
    return url, time.perf_counter() - began


def shown(url: str, study: str, seconds: float) -> tuple[list[Stretch], float]:
    """Print a run's table; gives its stretches and its trials an hour."""
    database = Database(url, create=False)
    try:
        found = stretches(database, study)
        records = load_records(database, find_study(database, study).id)
    finally:
        database.close()
    hourly = 3600.0 * sum(record.status in HOLDS_SLOT for record in records) / seconds
    print_table(found)
    longest = max(
        (max(one.began + timedelta(seconds=one.seconds) for one in found) - min(one.began for one in found)),
        timedelta(),
    ).total_seconds()
    print(f"{seconds:.1f} s in all, of which {seconds - longest:.1f} s before the first trial and after the last one; "
          f"{hourly:.0f} trials an hour\n", flush=True)  # fmt: skip
    return found, hourly


def compare(options: argparse.Namespace, name: str) -> list[Stretch]:
    """Run this version, and the other one in turn if there is one; gives this version's last run."""
    last: list[Stretch] = []
    ratios: list[float] = []
    with ExitStack() as stack:
        versions = {"this version": REPOSITORY}
        if options.against:
            versions[options.against] = stack.enter_context(checkout(options.against))
        for pair in range(options.pairs):
            hourly: dict[str, float] = {}
            for title in list(versions) if pair % 2 else reversed(versions):
                with tempfile.TemporaryDirectory(prefix="archsearch-timeline-") as folder:
                    url, seconds = run(options, versions[title], Path(folder))
                    print(f"{name}, {title}, run {pair + 1} of {options.pairs}, load {os.getloadavg()[0]:.1f}")
                    found, hourly[title] = shown(url, name, seconds)
                if versions[title] == REPOSITORY:
                    last = found
            if options.against:
                ratios.append(hourly["this version"] / hourly[options.against])
                print(f"pair {pair + 1}: {ratios[-1]:.3f} times the trials an hour of {options.against}\n", flush=True)
    if ratios:
        print(f"median of {len(ratios)} pairs: {statistics.median(ratios):.3f} times the trials an hour")
    return last


def main() -> None:
    """Print the table, and draw the picture where it is asked for."""
    parser = argparse.ArgumentParser(description="Where the seconds of a study's trials go.")
    parser.add_argument("study", help="a stored study's name; with --run a shipped study's name or a YAML file")
    parser.add_argument("--storage", default=DEFAULT_STORAGE, help=f"default: {DEFAULT_STORAGE}")
    parser.add_argument("--run", action="store_true", help="run the study, in a folder for temporary files")
    parser.add_argument("--against", metavar="CHECKOUT|COMMIT", help="run another version in turn with this one")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each version (default 3)")
    parser.add_argument("--workers", type=int, default=2, help="default 2")
    parser.add_argument("--trials", type=int, help="default: the study's own")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one key of the study")
    parser.add_argument("--data-dir", type=Path, help="where datasets are kept")
    parser.add_argument("--save", type=Path, metavar="FILE", help="the picture, .html or .png")
    options = parser.parse_args()
    if options.against and not options.run:
        parser.error("--against needs --run")
    if options.save and options.save.suffix not in (".html", ".png"):
        parser.error("--save needs a name that ends in .html or .png")
    name = options.study
    if options.run:
        if Path(name).suffix in (".yaml", ".yml"):
            options.study = str(Path(name).resolve())
        name = load_study(options.study).name
        options.pairs = options.pairs if options.against else 1
        found = compare(options, name)
    else:
        database = Database(options.storage, create=False)
        try:
            found = stretches(database, name)
        finally:
            database.close()
        print_table(found)
    if options.save:
        save(picture(found, f"{name}: what its workers did"), options.save)


if __name__ == "__main__":
    main()
