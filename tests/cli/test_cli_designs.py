"""Studies of designs, looked at by themselves: which numbers their networks have, and what can be asked of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import unpack_golden

from archsearch.api.study import open_study

CONFIRM, TRUST = "cifar10_random.confirm-427cae", "cifar10_random.trust-37d711"


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a command beside the golden studies, on a terminal so wide that no sentence is broken."""
    from archsearch.cli.console import console, error_console

    monkeypatch.chdir(tmp_path)
    unpack_golden(tmp_path)
    for made in (console, error_console):
        monkeypatch.setattr(made, "width", 10_000)
    return cli


# The trials of the searched study that the recommended networks come from, from the stored design's points.
@pytest.mark.parametrize(("name", "searched"), [(CONFIRM, 46), (TRUST, 65)])
def test_a_design_calls_its_networks_by_its_own_trials_and_says_which_trial_they_were(
    name: str, searched: int, said: Callable[..., Any]
) -> None:
    opened, parent = open_study(name), open_study("cifar10_random")
    best = opened.best
    assert best.arch_id == parent.choose(searched).spec.arch_id
    assert best.label == f"trial {best.trial}" and best.searched_trial == f"trial {searched}"
    assert opened.choose(best.trial).spec.arch_id == best.arch_id
    sentence = opened.recommendation.sentence
    assert sentence.startswith(f"Take trial {best.trial} (")
    assert f"which is trial {searched} of cifar10_random" in sentence
    assert f"- {sentence}" in said("pareto", "--study", name).out
    found = json.loads(said("pareto", "--study", name, "--json").out)
    assert found["recommendation"]["network"] == f"trial {found['recommendation']['trial']}" == best.label
    by = {each["by"]: each["by_trial"] for each in found["variants"] if each["by"]}
    assert by and all(label == f"trial {trial}" for label, trial in by.items())
    report = said("report", "--study", name, "--markdown").out
    assert f"* **{best.label}** (recommended" in report and f"--trial {best.trial}\n" in report


def test_a_number_of_the_searched_study_is_answered_with_the_design_s_own(said: Callable[..., Any]) -> None:
    ended = said("retrain", "--study", CONFIRM, "--trial", "46")
    assert ended.code == 2
    assert "has no trial 46" in ended.err and "trial 46 of cifar10_random is trial 1 here" in ended.err
