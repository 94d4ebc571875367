"""The regression, against scipy, scikit-learn's leave-one-out, and laws that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from archsearch.analysis.guidelines import explain_latency


def sample(networks: int = 30) -> dict[str, list[float]]:
    generator = np.random.default_rng(3)
    macs = np.exp(generator.uniform(10, 14, networks))
    operators = generator.integers(20, 90, networks).astype(float)
    params = macs * np.exp(generator.normal(0, 0.8, networks))
    latency = 1e-5 * macs**0.8 * operators**0.3 * np.exp(generator.normal(0, 0.05, networks))
    return {name: list(map(float, values)) for name, values in locals().items() if name in KEYS}


KEYS = ("macs", "operators", "params", "latency")


def test_a_power_law_is_found_exactly() -> None:
    macs = [1.0, 2.0, 4.0, 8.0, 16.0]
    found = explain_latency([3.0 * value**0.5 for value in macs], {"macs": macs})
    assert found.alone[0].exponents[0] == pytest.approx(0.5)
    assert found.alone[0].r2 == pytest.approx(1.0)
    assert found.alone[0].predicted_r2 == pytest.approx(1.0)
    assert found.alone[0].spearman == pytest.approx(1.0)


def test_one_predictor_is_what_scipy_finds() -> None:
    data = sample()
    found = explain_latency(data["latency"], {"macs": data["macs"]}).alone[0]
    line = stats.linregress(np.log(data["macs"]), np.log(data["latency"]))
    assert found.r2 == pytest.approx(line.rvalue**2)
    assert found.exponents[0] == pytest.approx(line.slope)
    assert found.spearman == pytest.approx(stats.spearmanr(data["macs"], data["latency"]).statistic)


def test_all_together_are_what_leaving_one_out_predicts() -> None:
    data = sample()
    names = ("macs", "operators", "params")
    found = explain_latency(data["latency"], {name: data[name] for name in names})
    design, target = np.log(np.column_stack([data[name] for name in names])), np.log(data["latency"])
    predicted = cross_val_predict(LinearRegression(), design, target, cv=LeaveOneOut())
    total = ((target - target.mean()) ** 2).sum()
    assert found.together.predicted_r2 == pytest.approx(1 - ((target - predicted) ** 2).sum() / total)
    assert found.together.r2 == pytest.approx(LinearRegression().fit(design, target).score(design, target))
    assert found.together.exponents[:2] == pytest.approx((0.8, 0.3), abs=0.06)  # the law that made the sample
    assert found.alone[0].names == ("macs",)  # best first


def test_a_predictor_that_never_varies_explains_nothing_and_is_named() -> None:
    data = sample()
    found = explain_latency(data["latency"], {"macs": data["macs"], "operators": [40.0] * 30})
    assert found.constant == ("operators",)
    assert [each.names for each in found.alone] == [("macs",)]


@pytest.mark.parametrize(
    ("latency", "predictors", "said"),
    [
        ([1.0, 2.0, 0.0, 4.0, 5.0], {"macs": [1.0, 2, 3, 4, 5]}, "latency_ms: positive"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], {"macs": [1.0, 2, 3, 4, 0]}, "macs: positive"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], {"macs": [1.0, 2, 3, 4]}, "4 values of macs for 5"),
        ([1.0, 1.0, 1.0, 1.0, 1.0], {"macs": [1.0, 2, 3, 4, 5]}, "vary"),
        ([1.0, 2.0, 3.0], {"macs": [1.0, 2, 3]}, "at least 4 networks"),
    ],
)
def test_what_cannot_be_fitted_is_refused(latency: list[float], predictors: dict[str, list[float]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        explain_latency(latency, predictors)
