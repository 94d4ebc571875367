"""A stand-in for evaluating networks: a model of real ones, cross-validated so that nobody takes it for the truth.

`benchmarks/samplers.py` and `benchmarks/search_efficiency.py` evaluate thousands of networks with it. It is fitted to
the random points of a stored study (`benchmarks/data/*.json.gz`, written by `benchmarks/export_study.py`): for a point
of the same search space it gives the validation error after each epoch, the latency, and the parameters.

The model: a ridge regression on the network's own choices and on what they do in each stage (kernel, split ratio and
attention times the number of units, the stem's kernel by its type), plus extremely randomised trees on what the ridge
leaves. It is of another kind than the Gaussian processes of the samplers that it compares.

Run as a program it prints how good it is: python benchmarks/surrogate.py benchmarks/data/cifar10_random.json.gz
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from archsearch.models.spec import Spec
from archsearch.search.config import load_study
from archsearch.space.search_space import SearchSpace

Floats = NDArray[np.float64]

DATA = Path(__file__).with_name("data") / "cifar10_random.json.gz"
_TREES = 60
_FOLDS = 10
_INPUT_SIZE = 32
_KINDS = ("error", "latency", "params")


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What the surrogate says of one network.

    Attributes:
        arch_id: which network it is.
        curve: validation error (percent) after each epoch.
        losses: training loss of each epoch; empty if the study's were not exported.
        latency_ms, params: as the study's own.
        without_noise: the same without noise; None if this has none.
    """

    arch_id: str
    curve: tuple[float, ...]
    losses: tuple[float, ...]
    latency_ms: float
    params: float
    without_noise: Evaluated | None = None

    @property
    def error_percent(self) -> float:
        """After the last epoch."""
        return self.curve[-1]


class Surrogate:
    """Fitted to the trials of one exported study that are points of the search space.

    Args:
        trials: the exported trials: suggested, curve, train_loss, latency_ms, params.
        space: their search space.
        noise: whether each network's curves get the leftovers of a real one's (by cross-validation), always the same
            for the same network: at worst as noisy as the truth, for a leftover is the model's error as well as the
            label's noise. Its latency gets a normal error.
        noise_floor: deviation of that error, as a share.
    """

    def __init__(
        self,
        trials: Sequence[Mapping[str, Any]],
        space: SearchSpace,
        *,
        input_size: int = _INPUT_SIZE,
        noise: bool = False,
        noise_floor: float = 0.0,
    ) -> None:
        self.space, self.input_size, self._noise, self._noise_floor = space, input_size, noise, noise_floor
        self._specs: dict[str, Evaluated] = {}
        usable = [trial for trial in trials if trial["suggested"] and space.contains(trial["suggested"])]
        self.count = len(usable)
        self.epochs = len(usable[0]["curve"])
        self.largest_params = float(max(trial["params"] for trial in usable))
        self._columns = _Columns([self._spec(trial["suggested"]) for trial in usable])
        features = self._columns.rows([self._spec(trial["suggested"]) for trial in usable])
        targets = np.array(
            [
                [*trial["curve"], *trial.get("train_loss", ()), np.log(trial["latency_ms"]), np.log(trial["params"])]
                for trial in usable
            ]
        )
        self._model = _Model(features, targets)
        predicted = np.zeros_like(targets)
        for fitted, held in KFold(_FOLDS, shuffle=True, random_state=0).split(features):
            predicted[held] = _Model(features[fitted], targets[fitted])(features[held])
        self._leftover = targets - predicted
        self.quality = {
            kind: _quality(targets[:, column], predicted[:, column])
            for kind, column in zip(_KINDS, (self.epochs - 1, -2, -1), strict=True)
        }
        self.residual_sd = {
            "error_percent": float(self._leftover[:, self.epochs - 1].std()),
            "latency_share": float(self._leftover[:, -2].std()),
        }
        self._range = (targets[:, : self.epochs].min(), targets[:, : self.epochs].max())

    def __call__(self, suggested: Mapping[str, Any]) -> Evaluated:
        """What it says of a suggestion of the space; kept, so that the same network is worked out once."""
        spec = self._spec(suggested)
        if spec.arch_id not in self._specs:
            row = self._model(self._columns.rows([spec]))[0]
            without = self._evaluated(spec, row, None)
            self._specs[spec.arch_id] = without
            if self._noise:
                seed = int.from_bytes(hashlib.sha256(spec.arch_id.encode()).digest()[:8], "big")
                draw = np.random.default_rng(seed)
                row = row.copy()
                row[:-2] += self._leftover[draw.integers(len(self._leftover)), :-2]
                row[-2] += self._noise_floor * draw.standard_normal()
                self._specs[spec.arch_id] = self._evaluated(spec, row, without)
        return self._specs[spec.arch_id]

    def _evaluated(self, spec: Spec, row: Floats, without_noise: Evaluated | None) -> Evaluated:
        return Evaluated(
            arch_id=spec.arch_id,
            curve=tuple(np.clip(row[: self.epochs], *self._range).tolist()),
            losses=tuple(row[self.epochs : -2].tolist()),
            latency_ms=float(np.exp(row[-2])),
            params=float(np.exp(row[-1])),
            without_noise=without_noise,
        )

    def describe(self) -> str:
        """How many networks it is fitted to, and how well it predicts others: for the head of every result."""
        quality = "; ".join(f"{kind} R2 {r2:.2f}, rank {rank:.2f}" for kind, (r2, rank) in self.quality.items())
        return (
            f"surrogate of {self.count} networks, {self.epochs} epochs; {_FOLDS}-fold cross-validation: {quality}; "
            f"residual sd: error {self.residual_sd['error_percent']:.2f} points, "
            f"latency {100 * self.residual_sd['latency_share']:.1f}%"
        )

    def _spec(self, suggested: Mapping[str, Any]) -> Spec:
        return self.space.spec(suggested).normalised(self.input_size)


@dataclass(frozen=True, kw_only=True)
class Study:
    """An exported study: its surrogate, and what its hypervolume is measured from.

    Attributes:
        surrogate: fitted to its trials.
        objectives: names, in order.
        reference_point: one value for each of them.
        noise_floor: of its latencies, as a share.
        digest: of the file's content, which results are stored with.
    """

    surrogate: Surrogate
    objectives: tuple[str, ...]
    reference_point: tuple[float, ...]
    noise_floor: float
    digest: str

    def values(self, evaluated: Evaluated) -> list[float]:
        """The objectives' values, as a study would store them."""
        return [float(getattr(evaluated, name)) for name in self.objectives]

    def true_values(self, evaluated: Evaluated) -> list[float]:
        """The objectives' values without noise: a hypervolume of lucky ones would say little of a search."""
        return self.values(evaluated.without_noise or evaluated)


def load(path: Path, *, study: str = "cifar10_cpu", noise: bool = False) -> Study:
    """The exported study in a file, whose points lie in the space of the shipped `study`."""
    content = gzip.decompress(path.read_bytes())
    data = json.loads(content)
    return Study(
        surrogate=Surrogate(
            data["trials"],
            load_study(study).search_space(),
            noise=noise,
            noise_floor=float(data["noise_floor"] or 0.0),
        ),
        objectives=tuple(data["objectives"]),
        reference_point=tuple(data["reference_point"]),
        noise_floor=float(data["noise_floor"] or 0.0),
        digest=hashlib.sha256(content).hexdigest()[:12],
    )


class _Columns:
    """Networks as rows of numbers: their choices, and what a stage's choices come to over its units."""

    def __init__(self, specs: Sequence[Spec]) -> None:
        every = [spec.choices() for spec in specs]
        self._numbers = [name for name in every[0] if all(_is_number(choices[name]) for choices in every)]
        self._words = {
            name: sorted({str(choices[name]) for choices in every}) for name in every[0] if name not in self._numbers
        }
        rows = self._raw(specs)
        self._kept = rows.std(axis=0) > 0
        self._centre, self._scale = rows[:, self._kept].mean(axis=0), rows[:, self._kept].std(axis=0)

    def rows(self, specs: Sequence[Spec]) -> Floats:
        """(n, columns), each of mean 0 and deviation 1 over the networks that it was made from."""
        return np.asarray((self._raw(specs)[:, self._kept] - self._centre) / self._scale, dtype=np.float64)

    def _raw(self, specs: Sequence[Spec]) -> Floats:
        return np.array([self._row(spec.choices()) for spec in specs], dtype=np.float64)

    def _row(self, choices: Mapping[str, Any]) -> list[float]:
        row = [float(choices[name]) for name in self._numbers]
        for name, words in self._words.items():
            chosen = [float(str(choices[name]) == word) for word in words]
            row += chosen
            stage, _, of = name.partition(".")
            if of == "attention":
                row += [choices[f"{stage}.units"] * each for each in chosen]
            elif of == "type" and f"{stage}.kernel" in choices:
                row += [choices[f"{stage}.kernel"] ** 2 * each for each in chosen]
        for stage in ("stage2", "stage3", "stage4"):
            if f"{stage}.units" in choices:
                units = choices[f"{stage}.units"]
                row += [units * choices[f"{stage}.kernel"] ** 2, units * choices[f"{stage}.split_ratio"]]
                row += [units * float(choices[f"{stage}.extra_depthwise"]), units**2]
        return row


class _Model:
    """Ridge regression, and trees on what it leaves; (n, columns) to (n, targets)."""

    def __init__(self, features: Floats, targets: Floats) -> None:
        self._centre, self._scale = targets.mean(axis=0), targets.std(axis=0) + 1e-12
        wanted = (targets - self._centre) / self._scale
        self._ridges = [RidgeCV(alphas=np.logspace(-2, 4, 19)).fit(features, column) for column in wanted.T]
        self._slopes = np.stack([ridge.coef_ for ridge in self._ridges], axis=1)
        self._starts = np.array([ridge.intercept_ for ridge in self._ridges])
        trees = ExtraTreesRegressor(_TREES, min_samples_leaf=3, max_features=0.5, random_state=0, n_jobs=1)
        self._forest = _Forest(trees.fit(features, wanted - self._linear(features)))

    def __call__(self, features: Floats) -> Floats:
        return np.asarray(self._centre + self._scale * (self._linear(features) + self._forest(features)))

    def _linear(self, features: Floats) -> Floats:
        return np.asarray(features @ self._slopes + self._starts)


class _Forest:
    """The trees of scikit-learn as arrays: one row is predicted 20 times faster than by its own `predict`."""

    def __init__(self, trees: ExtraTreesRegressor) -> None:
        parts = [estimator.tree_ for estimator in trees.estimators_]
        most = max(part.node_count for part in parts)
        self._depth = max(part.max_depth for part in parts)
        self._feature = np.full((len(parts), most), -1)
        self._threshold = np.zeros((len(parts), most))
        self._children = np.zeros((len(parts), most, 2), dtype=np.int64)
        self._value = np.zeros((len(parts), most, parts[0].value.shape[1]))
        for index, part in enumerate(parts):
            nodes = part.node_count
            self._feature[index, :nodes] = part.feature
            self._threshold[index, :nodes] = part.threshold
            self._children[index, :nodes] = np.stack([part.children_left, part.children_right], axis=1)
            self._value[index, :nodes] = part.value[:, :, 0]

    def __call__(self, features: Floats) -> Floats:
        each = np.arange(len(self._feature))
        found = []
        for row in features.astype(np.float32):  # as scikit-learn compares them
            node = np.zeros_like(each)
            for _ in range(self._depth):
                feature = self._feature[each, node]
                right = (row[feature] > self._threshold[each, node]).astype(np.int64)
                node = np.where(feature < 0, node, self._children[each, node, right])
            found.append(self._value[each, node].mean(axis=0))
        return np.array(found)


def _quality(true: Floats, predicted: Floats) -> tuple[float, float]:
    """R2 and Spearman's rank correlation."""
    left = float(((true - predicted) ** 2).sum())
    return 1.0 - left / float(((true - true.mean()) ** 2).sum()), float(spearmanr(true, predicted).statistic)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def main() -> None:
    """Print how well the surrogate predicts networks that it was not fitted to."""
    parser = argparse.ArgumentParser(description="Quality of the surrogate that other benchmarks use.")
    parser.add_argument("data", type=Path, nargs="?", default=DATA, help=f"exported study (default {DATA.name})")
    parser.add_argument("--study", default="cifar10_cpu", help="the study whose search space the points are of")
    arguments = parser.parse_args()
    print(load(arguments.data, study=arguments.study).surrogate.describe())


if __name__ == "__main__":
    main()
