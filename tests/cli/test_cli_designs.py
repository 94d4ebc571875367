"""Studies of designs, looked at by themselves: which numbers their networks have, and what can be asked of them."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import unpack_golden

from archsearch.api.study import open_study

GOLDEN = Path(__file__).parents[1] / "golden" / "make_study.py"
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


# What asks for each stored design again, and options that make another design.
AGAIN = {
    "confirm": (["--seeds", "3", "--top", "3"], "another --top or --fresh-images", "confirmed", CONFIRM),
    "trust": (["--epochs", "40"], "another --n or other --epochs", "trust", TRUST),
    "ablate": (
        ["--choices", "stage2.kernel,head.type,residual", "--seeds", "3"],
        "other --choices or --set proxy.epochs=N", "ablation", "cifar10_random.ablate-0587cd",
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", AGAIN)
@pytest.mark.parametrize("dry", [True, False], ids=["dry run", "run"])
def test_a_design_that_was_stored_on_another_machine_is_refused_with_what_can_be_typed_instead(
    command: str, dry: bool, said: Callable[..., Any]
) -> None:
    runpy.run_path(str(GOLDEN))["write_images"](Path("cifar10"))
    options, another, plot, name = AGAIN[command]
    ended = said(command, "--study", "cifar10_random", "--workers", "1", *options, *(["--dry-run"] if dry else []))
    assert ended.code == 2
    assert f"study '{name}' exists with another protocol: the device's" in ended.err
    assert "--set name" not in ended.err and f"{another} (in a terminal) make another design" in ended.err
    looks = f"archsearch plot {plot} --study cifar10_random", f"archsearch report --study {name}"
    for typed in looks:
        assert typed in ended.err
        assert said(*typed.split()[1:], "--out", "looked.html").code == 0


def test_what_a_refused_design_can_be_looked_at_by_names_its_database(said: Callable[..., Any]) -> None:
    runpy.run_path(str(GOLDEN))["write_images"](Path("cifar10"))
    Path("runs/archsearch.db").rename("copied.db")
    there = ("--storage", "sqlite:///copied.db")
    options, _, plot, name = AGAIN["confirm"]
    ended = said("confirm", "--study", "cifar10_random", "--workers", "1", *options, "--dry-run", *there)
    assert ended.code == 2
    for looks in (f"plot {plot} --study cifar10_random", f"report --study {name}"):
        assert f"archsearch {looks} {' '.join(there)}" in ended.err


@pytest.mark.parametrize("command", ["confirm", "trust", "ablate"])
def test_a_design_of_a_design_s_study_says_that_it_is_made_from_the_searched_one(
    command: str, said: Callable[..., Any]
) -> None:
    runpy.run_path(str(GOLDEN))["write_images"](Path("cifar10"))
    ended = said(command, "--study", CONFIRM, "--workers", "1", *AGAIN[command][0], "--dry-run")
    assert (
        f"study '{CONFIRM}' is a design (confirm) made from study 'cifar10_random': "
        "networks and front are those of 'cifar10_random'"
    ) in ended.err


def test_the_plan_of_a_confirmation_says_whose_front_it_is(
    said: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    runpy.run_path(str(GOLDEN))["write_images"](Path("cifar10"))
    monkeypatch.setattr("archsearch.search.plan._preflight", lambda *_, **__: None)
    ended = said("confirm", "--study", CONFIRM, "--workers", "1", "--top", "2", "--dry-run")
    assert ended.code == 0 and " of the front of study cifar10_random, 2 near it" in ended.err


@pytest.mark.parametrize(
    ("plot", "name", "typed"),
    [
        ("importances", CONFIRM, "archsearch plot importances --study cifar10_random"),
        ("grid", TRUST, "archsearch plot grid --study cifar10_random"),
        ("confirmed", CONFIRM, "archsearch plot confirmed --study cifar10_random"),
        ("trust", CONFIRM, "archsearch trust --study cifar10_random"),
        ("final", CONFIRM, f"archsearch retrain --trial front --study {CONFIRM}"),
    ],
)
def test_what_a_design_has_no_plot_of_is_hinted_at_with_a_command_that_is_not_refused(
    plot: str, name: str, typed: str, said: Callable[..., Any]
) -> None:
    ended = said("plot", plot, "--study", name, "--out", "none.json")
    assert ended.code == 1 and ended.err.splitlines()[-1].endswith(f": {typed}")
    if typed.startswith("archsearch plot"):
        assert said(*typed.split()[1:], "--out", "made.json").code == 0


def test_networks_trained_by_another_protocol_are_named_and_the_hint_names_the_one_that_was_asked_for(
    said: Callable[..., Any],
) -> None:
    plot = ("plot", "final", "--study", "cifar10_random", "--out", "final.json", "--with")
    ended = said(*plot, "protocol=modern")
    assert ended.code == 1 and "with protocol=modern, it has protocol=shufflenetv2-s" in ended.err
    assert ended.err.rstrip().endswith("archsearch retrain --trial front --study cifar10_random --protocol modern")
    assert said(*plot, "protocol=shufflenetv2-s").code == 0
    unknown = said(*plot, "protocol=modrn")
    assert unknown.code == 2
    assert "unknown training protocol 'modrn'" in unknown.err and "did you mean 'modern'?" in unknown.err


@pytest.mark.parametrize("name", ["front", "variants"])
@pytest.mark.parametrize("words", [("describe", "cifar10_random:{}"), ("export", "--trial", "{}")])
def test_a_name_of_several_networks_is_not_offered_where_one_is_needed(
    name: str, words: tuple[str, ...], said: Callable[..., Any]
) -> None:
    ended = said(
        *(word.format(name) for word in words), *(() if words[0] == "describe" else ("--study", "cifar10_random"))
    )
    assert ended.code == 2 and "did you mean" not in ended.err
    assert f"'{name}' names several networks of study 'cifar10_random', and one is needed" in ended.err
    near = said("describe", f"cifar10_random:{name}s")
    assert near.code == 2 and f"did you mean '{name}'" not in near.err
