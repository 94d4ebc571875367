"""The proxy against long training: both accuracies with ranks, and each predictor's tau with its interval."""

from __future__ import annotations

import json
from typing import Any

import pytest

from archsearch.analysis.rank_correlation import Correlation
from archsearch.analysis.trust import Trust, TrustGroup, TrustNetwork
from archsearch.plots.trust import trust_figure

MARKUP = "<script>alert(1)</script>"


def network(rank: int, proxy: float, long: float, long_rank: float, **changes: Any) -> TrustNetwork:
    facts: dict[str, Any] = {
        "arch_id": f"{rank:012}",
        "label": f"trial {rank}",
        "trial": rank,
        "variant": None,
        "proxy_top1_percent": proxy,
        "long_top1_percent": long,
        "long_std_points": None,
        "seeds": 1,
        "proxy_rank": float(rank),
        "long_rank": long_rank,
        "best_quarter": rank == 1,
        "predictors": {},
    }
    return TrustNetwork(**{**facts, **changes})


def correlation(name: str, tau: float | None, half: float | None = 0.25) -> Correlation:
    ends = (None, None) if tau is None or half is None else (tau - half, tau + half)
    return Correlation(
        predictor=name,
        n=3,
        tau=tau,
        tau_low=ends[0],
        tau_high=ends[1],
        spearman=tau,
        spearman_low=ends[0],
        spearman_high=ends[1],
    )


def group(name: str, proxy: Correlation, *predictors: Correlation) -> TrustGroup:
    return TrustGroup(
        name=name,
        n=3,
        proxy=proxy,
        predictors=predictors,
        best=predictors[0].predictor if predictors else None,
        advantage=None,
        advantage_low=None,
        advantage_high=None,
        ceiling=None,
        sentence="the proxy ranks better than params.",
    )


NETWORKS = (network(1, 45.0, 70.0, 2.0), network(2, 44.0, 71.0, 1.0, long_std_points=0.5), network(3, 40.0, 60.0, 3.0))


def trust(networks: tuple[TrustNetwork, ...] = NETWORKS, **changes: Any) -> Trust:
    facts: dict[str, Any] = {
        "study": "s",
        "trust_study": "s.trust-1",
        "counts": {"complete": len(networks)},
        "networks": networks,
        "proxy_epochs": 8,
        "long_epochs": 40,
        "groups": (
            group("all", correlation("proxy", 0.5), correlation("params", 0.25), correlation("macs", None)),
            group("best quarter", correlation("proxy", None), correlation("params", -0.5, None)),
        ),
        "pick_rank": 2.0,
        "noise_points": None,
        "proxy_noise_points": None,
        "regret_points": 1.0,
        "confidence": 0.95,
        "resamples": 100,
        "missing": (),
        "method": "",
        "warnings": (),
    }
    return Trust(**{**facts, **changes})


def test_each_network_stands_at_its_two_accuracies_with_its_two_ranks() -> None:
    figure = trust_figure(trust())
    by_name = {trace.name: trace for trace in figure.data if trace.name}
    best, rest = by_name["best quarter by proxy (1)"], by_name["networks (2)"]
    assert (list(best.x), list(best.y)) == ([45.0], [70.0])
    assert (list(rest.x), list(rest.y)) == ([44.0, 40.0], [71.0, 60.0])
    assert list(rest.error_y.array) == [0.5, 0.0]
    assert best.marker.symbol != rest.marker.symbol
    assert [list(each) for each in rest.customdata] == [[2], [3]]
    assert [each.text for each in figure.layout.annotations] == ["1→2", "2→1", "3→3"]
    assert "8 epochs" in figure.layout.xaxis.title.text and "40 epochs" in figure.layout.yaxis.title.text


def test_tau_and_its_interval_stand_in_the_subtitle() -> None:
    (line,) = trust().subtitle
    assert "Kendall tau over all (n = 3) 0.50, 95 % 0.25 to 0.75" in line
    assert "over the best quarter by proxy (n = 3) cannot be told" in line
    assert "The proxy ranks better than params." in trust_figure(trust()).layout.title.text


def test_predictors_stand_below_the_proxy_with_their_intervals() -> None:
    figure = trust_figure(trust())
    assert list(figure.layout.yaxis2.ticktext) == ["proxy", "params", "macs"]
    taus = {trace.name.split(",")[0]: list(trace.x) for trace in figure.data if (trace.name or "").startswith("tau")}
    assert taus == {"tau over all": [0.5, 0.25], "tau over the best quarter": [-0.5]}
    lines = [list(trace.x) for trace in figure.data if trace.mode == "lines" and trace.xaxis == "x2"]
    assert lines[0] == [0.25, 0.75, None, 0.0, 0.5, None]
    assert lines[1] == []


def test_the_diagonal_is_drawn_where_the_axes_meet_it() -> None:
    apart = trust_figure(trust())
    assert not any(trace.name == "as accurate after both" for trace in apart.data)
    near = (network(1, 60.0, 62.0, 1.0), network(2, 50.0, 55.0, 2.0))
    figure = trust_figure(trust(near))
    diagonal = next(trace for trace in figure.data if trace.name == "as accurate after both")
    assert list(diagonal.x) == list(diagonal.y)


def test_without_networks_the_figure_says_why() -> None:
    found = trust(())
    assert found.empty == "No long training of this study's networks is complete yet"
    assert [each.text for each in trust_figure(found).layout.annotations] == [found.empty]


@pytest.mark.parametrize("count", [1, 300])
def test_one_and_many_networks_are_drawn(count: int) -> None:
    networks = tuple(network(rank, 50.0 - 0.01 * rank, 60.0, 1.0) for rank in range(1, count + 1))
    assert len(trust_figure(trust(networks)).layout.annotations) == (1 if count == 1 else 0)  # too many to label


def test_names_stay_text() -> None:
    named = (network(1, 45.0, 70.0, 1.0, label=MARKUP, arch_id=MARKUP),)
    groups = (group(MARKUP, correlation(MARKUP, 0.5)), group("best quarter", correlation("proxy", None)))
    found = trust(named, groups=groups, warnings=(MARKUP,), study=MARKUP)
    assert "<script" not in json.dumps(trust_figure(found).to_plotly_json(), default=str)
