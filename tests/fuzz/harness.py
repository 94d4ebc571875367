"""Runs cases in this process, each in a folder of its own, and judges what came of them.

Promises: exit code 0, 1 or 2 as the case says and never a traceback; no other number printed of a changed database;
nothing written outside of the working folder; no code of an input run; an end within a minute of CPU time.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import logging
import os
import random
import resource
import runpy
import shutil
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self
from unittest import mock

import safetensors.torch
import typer.main

from archsearch.cli.main import app, main
from archsearch.errors import ArchsearchError
from archsearch.models.families import FAMILIES, build
from archsearch.records import Cost, Epoch, Latency, Record, Score, TrialStatus
from archsearch.resources import list_yaml
from tests.fuzz.cases import KINDS, Case, Material
from tests.fuzz.values import OUTSIDE, SENTINEL

LONGEST_SECONDS = 60  # of CPU time
_MEMORY = 3 * 2**30  # of addresses, beside what is in use at the start: what asks for more is told, not given


@dataclass(frozen=True)
class Broken:
    """A promise that was not kept.

    Attributes:
        kind: traceback, exit code, silent change, outside, executed, or too long.
        what: the command, and what came of it.
    """

    kind: str
    what: str


class TooLongError(BaseException):
    """No `except Exception` may hide it."""


class Fuzz:
    """Cases of one seed, in a sandbox that is removed at the end.

    Args:
        seed: case `index` is the same for the same seed.
        kinds: names of `KINDS`, the others are left out.
    """

    def __init__(self, *, seed: int, kinds: Collection[str] = tuple(KINDS)) -> None:
        self._seed = seed
        self._kinds = [name for name, (often, _) in KINDS.items() if name in kinds for _ in range(often)]
        self.counts: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()
        self.broken: list[Broken] = []
        self.last_output = ""
        self._said: dict[tuple[str, ...], str] = {}

    def __enter__(self) -> Self:
        self._root = Path(tempfile.mkdtemp(prefix="archsearch-fuzz-"))
        self._before = Path.cwd(), dict(os.environ), logging.getLogger().handlers[:], sys.argv
        for name in ("home", "cache", "tmp", "place"):
            (self._root / name).mkdir()
        os.environ |= {
            "HOME": str(self._root / "home"), "XDG_CACHE_HOME": str(self._root / "cache"),
            "TMPDIR": str(self._root / "tmp"),
            "COLUMNS": "120",
        }  # fmt: skip
        tempfile.tempdir = None
        self._limit = resource.getrlimit(resource.RLIMIT_AS)
        self._command = typer.main.get_command(app)  # once: making it takes longer than most cases
        self._material = _material(self._root / "material", self._command)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, self._limit[1]))
        return self

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_AS, self._limit)
        os.chdir(self._before[0])
        os.environ.clear()
        os.environ.update(self._before[1])
        logging.getLogger().handlers[:] = self._before[2]
        sys.argv = self._before[3]
        tempfile.tempdir = None
        shutil.rmtree(self._root, ignore_errors=True)

    def run(self, index: int) -> list[Broken]:
        """Make and judge one case; what it broke is kept in `broken`, too."""
        rng = random.Random(f"archsearch fuzz {self._seed} {index}")
        kind = rng.choice(self._kinds)
        place = self._root / "place" / "here"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        os.chdir(place)
        with _nobody_called(), _no_networks_tried(), mock.patch("archsearch.cli.main.app", self._command):
            case = KINDS[kind][1](rng, self._material)
            code, out, err, failure = _ended(case)
            self.last_output = f"{case.command}\n{out[-3000:]}\n{err[-3000:]}"
            found = list(self._judged(case, code, out, err, failure))
        self.counts[kind] += 1
        self.codes[code] += 1
        self.broken += found
        if index % 200 == 199:
            gc.collect()
        return found

    def _judged(self, case: Case, code: int, out: str, err: str, failure: str) -> Iterator[Broken]:
        typed = " ".join(part if len(part) < 80 else f"{part[:60]}...({len(part)})" for part in case.command)
        if failure:
            yield Broken("too long" if failure == TooLongError.__name__ else "traceback", f"{typed!a}: {failure}")
        elif "Traceback (most recent call last)" in out + err:
            yield Broken("traceback", f"{typed!a}: printed: {err[-300:]}")
        elif code not in case.codes:
            yield Broken("exit code", f"{typed!a}: {code}, and {case.codes} are right: {err[:300]}")
        elif code and not err.strip() and not out.strip():
            yield Broken("exit code", f"{typed!a}: {code} without a word")
        elif case.same and code == 0 and _answer(out) != self._whole(case):
            yield Broken("silent change", f"{typed!a}: other output, and exit code 0")
        if Path(SENTINEL).exists():
            yield Broken("executed", f"{typed!a}")
        outside = [path for path in self._root.rglob("*") if self._is_outside(path)]
        outside += list(Path("/tmp").glob(f"*{OUTSIDE}*"))
        for path in outside:
            if not any(OUTSIDE in word for word in case.command[1:]):  # it was asked for by its name
                yield Broken("outside", f"{typed!a}: {path}")
            path.unlink() if path.is_file() or path.is_symlink() else shutil.rmtree(path, ignore_errors=True)

    def _is_outside(self, path: Path) -> bool:
        parts = path.relative_to(self._root).parts
        if parts[0] in ("material", "cache", "tmp", "home"):
            return OUTSIDE in path.name or (
                parts[0] == "home" and len(parts) == 2 and parts[1] not in (".cache", ".config")
            )
        return parts[0] != "place" or (len(parts) > 1 and parts[1] != "here")

    def _whole(self, case: Case) -> str:
        """What the same command says of the database that nothing was done to."""
        if case.command not in self._said:
            place = self._root / "place" / "here"
            shutil.rmtree(place)
            place.mkdir()
            os.chdir(place)
            shutil.copy(self._material.database, "x.db")
            code, out, err, failure = _ended(case)
            if code or failure:
                raise RuntimeError(f"{case.command} of the whole database: {code} {failure} {err}")
            self._said[case.command] = _answer(out)
        return self._said[case.command]

    def summary(self) -> str:
        """Counts for people."""
        kinds = ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()))
        codes = ", ".join(f"{code}: {count:,}" for code, count in sorted(self.codes.items()))
        broken = ", ".join(f"{count} {kind}" for kind, count in Counter(each.kind for each in self.broken).items())
        return f"{self.counts.total():,} inputs ({kinds})\nexit codes {codes}\nbroken: {broken or 'nothing'}"


def _ended(case: Case) -> tuple[int, str, str, str]:
    """Exit code, both outputs, and the exception that no command may let out."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    failure, code = "", 0
    sys.argv = ["archsearch", *case.command]
    old = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, LONGEST_SECONDS)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            try:
                if case.call is not None:
                    case.call()
                else:
                    main()
            except ArchsearchError as error:
                code = error.exit_code
                err.write(str(error))
            except MemoryError:  # as `main` does
                code = 1
                err.write("there is not enough memory")
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            except BaseException as error:  # noqa: BLE001 (any at all is a finding)
                last = traceback.extract_tb(error.__traceback__)[-1]
                failure = f"{type(error).__name__}: {str(error)[:200]} ({Path(last.filename).name}:{last.lineno})"
                if isinstance(error, TooLongError):
                    failure = TooLongError.__name__
                err.write(traceback.format_exc())
                code = 1
            out.flush()
            err.flush()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
    said, told = (stream.detach().getvalue().decode("utf-8", "replace") for stream in (out, err))  # type: ignore[attr-defined]
    return code, said, told, failure


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise TooLongError


def _answer(out: str) -> str:
    """What was printed and written, as one digest."""
    digest = hashlib.sha256(out.encode())
    for path in sorted(Path().rglob("*")):
        if path.is_file() and path.suffix in (".json", ".csv"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def _nobody_called() -> Iterator[None]:
    """Neither a browser is opened nor a dataset downloaded."""
    with mock.patch("webbrowser.open"), mock.patch("urllib.request.urlopen", side_effect=OSError("no network")):
        yield


@contextmanager
def _no_networks_tried() -> Iterator[None]:
    """A dry run without its last steps, which run networks for seconds: what is right is no matter here."""
    timed = mock.patch("archsearch.search.timing._network_time", side_effect=MemoryError("not in a test"))
    with mock.patch("archsearch.search.plan._preflight"), timed:
        yield


def _material(folder: Path, command: Any) -> Material:
    """Two databases, a model folder, and the options of every command."""
    folder.mkdir()
    store = runpy.run_path(str(Path(__file__).parents[1] / "stored.py"))["store_study"]
    store(f"sqlite:///{folder / 'x.db'}", _records())
    _one_file(folder / "x.db")
    shutil.copy(folder / "x.db", folder / "old.db")
    with closing(sqlite3.connect(folder / "old.db", isolation_level=None)) as connection:
        for table in ("studies", "trials", "latencies", "trainings", "repeats"):
            connection.execute(f"update archsearch_{table} set checksums = null")
    commands = {
        name: [
            (
                getattr(each, "opts", [""])[0] if type(each).__name__.endswith("Option") else "",
                bool(getattr(each, "is_flag", False)),
            )
            for each in found.params
        ]
        for name, found in command.commands.items()
    }
    return Material(
        database=folder / "x.db",
        old=folder / "old.db",
        model=_model(folder / "model"),
        space=list_yaml("search_spaces")["shufflenet_v2"].read_text(encoding="utf-8"),
        commands=commands,
    )


def _one_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def _records() -> list[Record]:
    records = []
    base = FAMILIES["shufflenet_v2"].base
    for number in range(6):
        spec = base.with_choices({"width": (0.5, 1.0, 1.5)[number % 3], "kernel": 3 + 2 * (number % 2)})
        score = Score(
            top1_percent=60.0 + 3 * number, epochs=2, seed=0, split="validation", train_images=800, eval_images=500,
            protocol="proxy", train_seconds=12.5, images_per_second=1280.0, device="cpu",
            curve=tuple(
                Epoch(epoch=at, train_loss=2.0 / at, top1_percent=30.0 * at, learning_rate=0.1, train_seconds=6.0)
                for at in (1, 2)
            ),
        )  # fmt: skip
        latency = Latency(
            p10_ms=1.0 + 0.5 * number, median_ms=1.1 + 0.5 * number, p90_ms=2.0 + 0.5 * number,
            ratio_to_reference=0.25 + 0.125 * number, reference="shufflenet_v2_x1_0", reference_p10_ms=4.0, n=300,
            bursts=30,
            half_split_difference=0.015, converged=True, contended=False, device="cpu", backend="torch", batch=1,
            threads=1,
            input_size=32, fingerprint="f00dfeedbeef", measure_seconds=7.5, study_reference_ms=4.0, ratio_low=0.2,
            ratio_high=0.9, memory_ms=1.5, state={"load average": "1.0"},
        )  # fmt: skip
        records.append(
            Record(
                study="small", trial=number, arch_id=spec.arch_id, family=spec.family, choices=spec.choices(),
                suggested={"width": 0.5, "kernel": 3}, status=TrialStatus.COMPLETE, latency=latency, score=score,
                seconds=3.0,
                variant="shufflenet_v2_x0_5" if number == 0 else None,
                cost=Cost(params=350_000 + number, macs=41_000_000 + number, input_size=32, num_classes=10),
            )
        )  # fmt: skip
    return records


def _model(folder: Path) -> Path:
    """A model folder as `save_model_folder` writes one, of a small network that was not trained."""
    folder.mkdir()
    spec = FAMILIES["shufflenet_v2"].base.with_choices({"width": 0.5, "head.channels": 64})
    weights = safetensors.torch.save(
        {
            name: value.contiguous()
            for name, value in build(spec, num_classes=3, input_size=32, seed=0).state_dict().items()
        }
    )
    (folder / "weights.safetensors").write_bytes(weights)
    described = {
        "format": 1, "spec": json.loads(spec.canonical_json()), "num_classes": 3, "classes": ["a", "b", "c"],
        "input_size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2],
        "weights_sha256": hashlib.sha256(weights).hexdigest(), "test_top1_percent": [61.5], "seeds": [0], "study": None,
        "trial": None, "archsearch": "0", "torch": "0",
    }  # fmt: skip
    (folder / "spec.json").write_text(json.dumps(described))
    return folder
