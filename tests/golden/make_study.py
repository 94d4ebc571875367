"""Make the stored study that the golden outputs are of: `python tests/golden/make_study.py`, in a checkout.

It writes tests/golden/stored/: a dump of the database and the file of measured guideline experiments. The networks and
their curves are those of benchmarks/data/cifar10_random.json.gz (the first 100 trials), the guideline results those of
docs/results/guidelines_cpu.json; what no file holds (single latencies, a few trials that did not complete, the trials
of an ablation, a confirmation and two checks of the proxy) is made up from fixed seeds.

The files are kept as the version that wrote them left them: that later versions open them is part of what the golden
tests show. Make them anew only for what a stored study could not hold before.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from archsearch.cost import cost_of
from archsearch.designs import Design
from archsearch.latency.fingerprint import Fingerprint
from archsearch.models.spec import Spec
from archsearch.records import Cost, EarlyStop, Epoch, Latency, Score, TrialStatus
from archsearch.search.config import StudyConfig, load_study
from archsearch.search.variants import scaled
from archsearch.space.search_space import SearchSpace
from archsearch.store.database import Database
from archsearch.store.rows import EARLY_STOP, latency_to_row, score_to_row, trial_key
from archsearch.store.schema import StudyRow, TrialRow

HERE = Path(__file__).parent
STORED = HERE / "stored"
CHECKOUT = HERE.parents[1]
TRIALS = 100
DATASET = "npz:cifar10"  # a folder of that name with made-up images: sources print accuracies for CIFAR-10
DEVICE = {
    "device": "cpu", "cpu": "AMD EPYC (family 25, model 17)", "cores": "2", "cpu_capability": "AVX512",
    "system": "Linux", "machine": "x86_64", "torch": "2.15.0", "backend": "onnxruntime", "backend_version": "1.32.0",
    "threads": "1", "float32_matmul_precision": "highest",
}  # fmt: skip
OTHER_DEVICE = {**DEVICE, "cpu": "Ampere Altra", "machine": "aarch64"}


def write_images(folder: Path) -> None:
    """The images of DATASET below a folder: 3,000 for training and 50 for tests, without a meaning."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    for name, count in (("train", 3000), ("test", 50)):
        images = draw.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=images, labels=np.arange(count) % 10)


def fingerprint(device: str, backend: str, threads: int, precision: str = "fp32") -> Fingerprint:
    """In place of `archsearch.latency.fingerprint.device_fingerprint`."""
    return Fingerprint.of(DEVICE)


@cache
def _cost(spec: Spec) -> Cost:
    return cost_of(spec, num_classes=10, input_size=32)


class _Maker:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.config = load_study(
            "cifar10_random",
            [f"dataset={DATASET}", "latency.backend=onnxruntime", f"trials={TRIALS}", "constraints.params=3000000"],
        )
        self.content = json.loads(gzip.decompress((CHECKOUT / "benchmarks/data/cifar10_random.json.gz").read_bytes()))
        self.reference_ms = next(
            each["latency_ms"] for each in self.content["trials"] if each["variant"] == self.config.reference
        )

    def study(
        self, config: StudyConfig, space: SearchSpace, facts: dict[str, Any], device: dict[str, str] = DEVICE
    ) -> int:
        found = Fingerprint.of(device)
        with self.database.writing() as session:
            row = StudyRow(
                name=config.name,
                config=config.protocol() | {"name": config.name, "sampler": config.sampler},
                space=space.to_dict(),
                space_fingerprint=space.fingerprint,
                reference_point=dict(
                    zip(config.objectives, self.content["reference_point"], strict=True)
                ),
                reference_p10_ms=self.reference_ms,
                facts={
                    "command": f"archsearch run --study {config.name}", "started": "2026-01-02T03:04:05Z",
                    "python": "3.12.1", "archsearch": "0.1.0",
                    "versions": {"torch": "2.15.0", "torchvision": "0.30.0", "optuna": "4.9.0"},
                    "num_classes": 10, "input_size": 32, "device": device, "device_state": {},
                    "device_fingerprint": found.id,
                    "noise_floor": {"relative": self.content["noise_floor"], "measure_seconds": 31.0},
                    "proxy_precision": "fp32",
                    **facts,
                },
            )  # fmt: skip
            session.add(row)
            session.flush()
            return row.id

    def trial(
        self, study_id: int, number: int, spec: Spec, *, status: TrialStatus = TrialStatus.COMPLETE,
        cost: Cost | None, latency: Latency | None, score: Score | None, early_stop: EarlyStop | None = None,
        suggested: dict[str, Any] | None = None, variant: str | None = None, reason: str | None = None,
        seconds: float | None = 60.0,
    ) -> None:  # fmt: skip
        training = None if score is None else score_to_row(score, study_id, spec.arch_id)
        if training is not None and early_stop is not None:
            training.details = {**training.details, EARLY_STOP: asdict(early_stop)}
        with self.database.writing() as session:
            session.add(
                TrialRow(
                    study_id=study_id, number=number, status=status, reason=reason, variant=variant,
                    suggested=suggested or {}, family=spec.family, arch_id=spec.arch_id, choices=spec.choices(),
                    cost=None if cost is None else asdict(cost), told=True, worker_id="gone", seconds=seconds,
                    latency=None if latency is None else latency_to_row(latency, spec.arch_id), training=training,
                )
            )  # fmt: skip

    def latency(self, latency_ms: float, seed: int, *, device: dict[str, str] = DEVICE) -> Latency:
        """A measurement whose corrected milliseconds are these; everything around it is drawn."""
        draw = random.Random(seed)
        drift = draw.uniform(-0.03, 0.05) + (0.12 if seed % 31 == 7 else 0.0)
        reference, ratio = self.reference_ms * (1.0 + drift), latency_ms / self.reference_ms
        p10 = ratio * reference
        return Latency(
            p10_ms=p10, median_ms=p10 * draw.uniform(1.02, 1.1), p90_ms=p10 * draw.uniform(1.15, 1.4),
            ratio_to_reference=ratio, reference=self.config.reference, reference_p10_ms=reference, n=800, bursts=80,
            half_split_difference=draw.uniform(0.0, 0.01), converged=seed % 29 != 11, contended=False, device="cpu",
            backend="onnxruntime", batch=1, threads=1, input_size=32, fingerprint=Fingerprint.of(device).id,
            measure_seconds=draw.uniform(5.0, 9.0), study_reference_ms=self.reference_ms, ratio_low=ratio * 0.99,
            ratio_high=ratio * 1.012, attempts=1 + (seed % 17 == 3), state={"load": "0.9", "cpu_mhz": "2600"},
        )  # fmt: skip

    def score(self, errors: list[float], losses: list[float], *, epochs: int, seed: int, split: str = "validation",
              protocol: str = "proxy") -> Score:  # fmt: skip
        curve = tuple(
            Epoch(epoch=index + 1, train_loss=loss, top1_percent=100.0 - error,
                  learning_rate=round(0.05 * (1 - (index + 1) / epochs), 6), train_seconds=1.5)
            for index, (error, loss) in enumerate(zip(errors, losses, strict=True))
        )  # fmt: skip
        return Score(
            top1_percent=100.0 - errors[-1], epochs=len(errors), seed=seed, split=split, train_images=1200,
            eval_images=1500, protocol=protocol, train_seconds=1.5 * len(errors), images_per_second=800.0,
            device="cpu", curve=curve,
        )  # fmt: skip

    def searched(self, name: str, *, device: dict[str, str] = DEVICE, data_fingerprint: str) -> int:
        """The search itself, or the same networks measured on another device."""
        config = self.config.model_copy(update={"name": name})
        space = config.search_space()
        study_id = self.study(config, space, {"data_fingerprint": data_fingerprint}, device)
        for trial in self.content["trials"][:TRIALS]:
            number, variant = trial["trial"], trial["variant"]
            spec = (scaled(variant, config) if variant else space.spec(trial["suggested"])).normalised(32)
            latency_ms = trial["latency_ms"]
            if device is OTHER_DEVICE:
                latency_ms *= 2.0 + random.Random(f"other {number}").uniform(-0.5, 0.5)
            cost, latency = _cost(spec), self.latency(latency_ms, number, device=device)
            score = self.score(trial["curve"], trial["train_loss"], epochs=8, seed=0)
            facts: dict[str, Any] = {"cost": cost, "latency": latency, "score": score}
            if number % 23 == 20:  # a rule that ends a training, and one that it spared
                stopped = number % 2 == 0
                facts["score"] = self.score(trial["curve"][:4], trial["train_loss"][:4], epochs=8, seed=0)
                facts["early_stop"] = EarlyStop(
                    policy="predicted", epoch=4, of_epochs=8, error_percent=trial["curve"][3],
                    expected_error_percent=trial["curve"][-1] + 3.0, optimistic_error_percent=trial["curve"][-1] + 1.0,
                    stopped=stopped, exempt="" if stopped else "calibration",
                )  # fmt: skip
                if stopped:
                    facts["status"] = TrialStatus.STOPPED
                else:
                    facts["score"] = score
            elif number in (22, 49):  # they would dominate the others
                facts |= {"status": TrialStatus.FAILED, "score": None, "reason": "DivergedError: loss nan at step 70"}
            elif number == 47:
                facts |= {"status": TrialStatus.REJECTED, "score": None, "latency": None, "reason": "params 3.1M > 3M"}
            elif number == 58:
                facts |= {"status": TrialStatus.FAILED, "score": None, "latency": None,
                          "reason": "out of memory: <b>[red]40 GiB"}  # fmt: skip
            self.trial(study_id, number, spec, suggested=trial["suggested"], variant=variant, **facts)
        return study_id

    def designed(self, planned: Any, *, skip: int = 0) -> int:
        """The trials of a design, all seeds of a point near one made-up accuracy."""
        config: StudyConfig = planned.config
        design: Design = config.design
        facts = {key: value for key, value in planned.facts.items() if key in ("trust", "data_fingerprint")}
        study_id = self.study(config, planned.space, facts)
        known = {trial["trial"]: trial for trial in self.content["trials"]}
        from archsearch.search.variants import design_specs

        number = 0
        for seed in design.seeds:
            for index, (point, spec) in enumerate(zip(design.points, design_specs(design, input_size=32), strict=True)):
                draw, own = random.Random(f"{spec.arch_id} {seed}"), random.Random(spec.arch_id)
                error = known[point.trial]["curve"][-1] if point.trial is not None else 70.0 + own.uniform(-4.0, 4.0)
                latency_ms = self.reference_ms * own.uniform(0.3, 1.1)
                if point.trial is not None:
                    latency_ms = known[point.trial]["latency_ms"]
                epochs = config.proxy.epochs
                error = error * (8 / epochs) ** 0.25 + draw.gauss(0.0, 1.0)
                curve = [90.0 - (90.0 - error) * (k + 1) / epochs for k in range(epochs)]
                failed = number == skip > 0
                self.trial(
                    study_id, number, spec, variant=trial_key(index, seed),
                    status=TrialStatus.FAILED if failed else TrialStatus.COMPLETE,
                    reason="DivergedError: loss nan at step 3" if failed else None,
                    cost=_cost(spec),
                    latency=self.latency(latency_ms * draw.uniform(0.995, 1.005), 1000 + number),
                    score=None if failed else self.score(curve, [error / 30.0] * epochs, epochs=epochs, seed=seed),
                )  # fmt: skip
                number += 1
        return study_id

    def retrained(self, study_id: int) -> None:
        """Two networks in full, one with three seeds."""
        for name, seeds, top1 in (("shufflenet_v2_x0_5", 3, 88.4), ("shufflenet_v2_x1_0", 1, 91.2)):
            spec = scaled(name, self.config).normalised(32)
            for seed in range(seeds):
                score = self.score([100.0 - top1 - 0.3 * seed], [0.1], epochs=1, seed=seed, split="test",
                                   protocol="shufflenetv2-s")  # fmt: skip
                with self.database.writing() as session:
                    session.add(score_to_row(replace(score, epochs=300, eval_images=10_000), study_id, spec.arch_id))


def _guidelines() -> None:
    """Run the experiments with what docs/results holds in place of measurements."""
    stored = json.loads((CHECKOUT / "docs/results/guidelines_cpu.json").read_text())
    tables = {table["table"]: {each["column"]: each["rows"] for each in table["columns"]} for table in stored["tables"]}
    sampled = {each["arch_id"]: each for each in stored["sample"]["networks"]}

    def column(experiment: Any, *_: Any, **__: Any) -> dict[str, Any]:
        best = experiment.best.label
        names = ("p10_ms", "median_ms", "p90_ms", "n", "bursts", "converged", "contended", "attempts", "ratio_low",
                 "ratio_high")  # fmt: skip
        return {
            "latencies": [
                asdict(Latency(
                    **{name: row[name] for name in names}, ratio_to_reference=row["ratio_to_best"],
                    reference=f"{best} {experiment.scale_text}", reference_p10_ms=row["p10_ms"] / row["ratio_to_best"],
                    half_split_difference=0.003, device="cpu", backend="onnxruntime", batch=1, threads=1, input_size=56,
                    fingerprint=Fingerprint.of(DEVICE).id, measure_seconds=8.0,
                ))
                for row in tables[experiment.table][experiment.scale_text]
            ]
        }  # fmt: skip

    def sample(specs: Any, *_: Any, **__: Any) -> dict[str, Any]:
        networks = [
            {**{key: each[key] for key in ("arch_id", "macs", "params", "operators", "memory_bytes")},
             "ratio": each["latency_ms"] / 2.0, "converged": each["converged"], "contended": each["contended"]}
            for spec in specs for each in [sampled[spec.arch_id]]
        ]  # fmt: skip
        return {"reference_p10_ms": 2.0, "networks": networks}

    from archsearch.api import guideline_measure, guidelines

    with (
        mock.patch.object(guideline_measure, "measure_column", column),
        mock.patch.object(guideline_measure, "measure_sample", sample),
        mock.patch.object(guidelines, "date") as today,
    ):
        today.today.return_value.isoformat.return_value = "2026-01-03"
        guidelines.guidelines()


def _dump(path: Path) -> Iterator[str]:
    """The database as SQL, every time in it one of its own that follows from its row."""
    with sqlite3.connect(path) as database:
        columns = [
            (table, column)
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for _, column, kind, *_ in database.execute(f"PRAGMA table_info({table})").fetchall()
            if kind == "DATETIME"
        ]
        for table, column in columns:
            database.execute(
                f"UPDATE {table} SET {column} = strftime('%Y-%m-%d %H:%M:%S.000000', '2026-01-02', rowid || ' minutes')"
            )
        yield from database.iterdump()


def main() -> None:
    STORED.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("archsearch.search.plan.device_fingerprint", fingerprint),
        mock.patch("archsearch.latency.fingerprint.device_fingerprint", fingerprint),
    ):
        os.chdir(folder)
        write_images(Path("cifar10"))
        from archsearch.api.ablate import plan_ablation
        from archsearch.api.confirm import plan_confirm
        from archsearch.api.trust import plan_trust
        from archsearch.data.npz import load_npz
        from archsearch.search.runtime import Runtime

        data = load_npz(Path("cifar10"), name=DATASET).fingerprint
        database = Database("sqlite:///runs/archsearch.db", create=True)
        made = _Maker(database)
        made.searched("cifar10_other", device=OTHER_DEVICE, data_fingerprint=data)
        study_id = made.searched("cifar10_random", data_fingerprint=data)
        made.retrained(study_id)
        made.designed(
            plan_ablation("cifar10_random", Runtime(), choices=["stage2.kernel", "head.type", "residual"], seeds=3).plan
        )
        made.designed(plan_confirm("cifar10_random", Runtime(), seeds=3, top=3).plan, skip=3)
        made.designed(plan_trust("cifar10_random", Runtime(), networks=12, epochs=40).plan)
        made.designed(plan_trust("cifar10_random", Runtime(), networks=9, epochs=80, seeds=2).plan, skip=5)
        database.close()
        _guidelines()
        sql = "\n".join(_dump(Path("runs/archsearch.db"))) + "\n"
        (STORED / "archsearch.sql.gz").write_bytes(gzip.compress(sql.encode(), mtime=0))
        measured = next(Path("runs/guidelines").glob("*.json"))
        (STORED / f"{measured.name}.gz").write_bytes(gzip.compress(measured.read_bytes(), mtime=0))


if __name__ == "__main__":
    main()
