"""`archsearch ablate`: what it would train, what it refuses, and what it prints of a stored ablation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from makers import make_latency, make_score
from PIL import Image
from stored import store_study

from archsearch.analysis.front import front_of, front_rows
from archsearch.api.report import make_report
from archsearch.api.study import open_base, open_study
from archsearch.cli import running
from archsearch.designs import Design, DesignPoint
from archsearch.models.variants import find_variant
from archsearch.records import Cost, Latency, Record, Score, TrialStatus
from archsearch.search.estimate import Estimate
from archsearch.space.search_space import load_space
from archsearch.store.database import Database
from archsearch.store.rows import parse_key, trial_key
from archsearch.store.schema import StudyRow, TrialRow

STUDY = """
name: tiny
space: shufflenet_v2
dataset: digits
fixed: {width: 0.5}
scale: {stem.stride: 1, stem.pool: false}
variants: [shufflenet_v2_x0_5]
reference: shufflenet_v2_x0_5
proxy: {epochs: 1, batch_size: 32, train_images: 64, validation_images: 40}
"""
BASE = find_variant("shufflenet_v2_x0_5").spec.normalised(32)
POINTS = {"base": {}, "kernel=5": {"kernel": 5}, "residual=true": {"residual": True}}
SEEDS = (0, 1, 2)
# Top-1 of each point with each seed: kernel 5 gains 2.0, 2.1, 1.9 points; a residual changes +0.5, -0.5, 0.0.
TOP1 = {"base": (60.0, 61.0, 62.0), "kernel=5": (62.0, 63.1, 63.9), "residual=true": (60.5, 60.5, 62.0)}
RATIO = {"base": (1.0, 1.01, 0.99), "kernel=5": (1.2, 1.21, 1.19), "residual=true": (1.01, 1.0, 1.0)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)

    def timed(*_: Any, trials: int, **__: Any) -> Estimate:
        return Estimate(others=trials, other_seconds=60.0, workers=1, basis="made up")

    monkeypatch.setattr("archsearch.api.run.timed_estimate", timed)
    return tmp_path


def point(name: str) -> DesignPoint:
    spec = BASE.with_choices(POINTS[name]).normalised(32)
    return DesignPoint(
        name=name, family=spec.family, choices=spec.choices(), arch_id=spec.arch_id, changes=POINTS[name]
    )


def record(number: int, name: str, seed: int, *, failed: bool = False) -> Record:
    of = point(name)
    params = 352_042 + 1000 * list(POINTS).index(name)
    return Record(
        study="tiny.ablate-000000",
        trial=number,
        arch_id=of.arch_id,
        family=of.family,
        choices=of.choices,
        suggested={},
        status=TrialStatus.FAILED if failed else TrialStatus.COMPLETE,
        variant=trial_key(list(POINTS).index(name), seed),
        reason="out of memory" if failed else None,
        cost=Cost(params=params, macs=10 * params, input_size=32, num_classes=10),
        latency=None if failed else latency(RATIO[name][seed]),
        score=None if failed else score(TOP1[name][seed], seed),
        seconds=10.0,
    )


def latency(ratio: float) -> Latency:
    return make_latency(ratio, ratio_to_reference=ratio, reference_p10_ms=1.0, study_reference_ms=1.0)


def score(top1_percent: float, seed: int) -> Score:
    return make_score(top1_percent, seed=seed, train_images=64, eval_images=5000, protocol="proxy")


def stored_ablation(folder: Path, *, failing: str | None = None) -> str:
    """The URL of a database with an ablation of these numbers; every trial of `failing` has failed."""
    url = f"sqlite:///{folder / 'stored.db'}"
    keys = [(name, seed) for seed in SEEDS for name in POINTS]
    store_study(
        url,
        [record(number, *key, failed=key[0] == failing) for number, key in enumerate(keys)],
        name="tiny.ablate-000000",
    )
    design = Design(purpose="ablation", of="tiny", points=tuple(map(point, POINTS)), seeds=SEEDS, mode="one-at-a-time")
    database = Database(url)
    with database.writing() as session:
        row = session.query(StudyRow).one()
        row.config = {**row.config, "design": asdict(design)}
        row.space = load_space("shufflenet_v2").to_dict()
        assert all(parse_key(trial.variant) for trial in session.query(TrialRow))
    database.close()
    return url


def test_a_dry_run_says_how_many_trainings_there_would_be(cli: Callable[..., Any], place: Path) -> None:
    ended = cli(
        "ablate", "--study", "tiny.yaml", "--choices", "kernel=3|5|7,residual,head.hidden", "--seeds", "4",
        "--workers", "1", "--device", "cpu", "--dry-run",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    # two kernels, one residual, the base; a head without a hidden layer has no width (4 levels)
    assert "4 networks, the base included" in ended.err
    assert "trainings 16 in all: each network with 4 seeds, 1 epoch of 64 images" in ended.err
    assert "base      shufflenet_v2_x0_5" in ended.err
    assert ended.err.count("has no effect on the base") == 3  # its own width is one of the four
    assert "estimated time: 16 min with 1 worker (made up)" in ended.err
    assert not (place / "runs").exists()


def test_the_base_is_the_first_of_the_study_s_own_variants_also_where_auto_is_one_of_several(
    cli: Callable[..., Any], place: Path
) -> None:
    study = STUDY.replace("variants: [shufflenet_v2_x0_5]", "variants: [resnet20, auto]")
    (place / "tiny.yaml").write_text(study.replace("reference: shufflenet_v2_x0_5", "reference: shufflenet_v2_x1_0"))
    ended = cli("ablate", "--study", "tiny.yaml", "--choices", "kernel=5", "--device", "cpu", "--dry-run")
    assert ended.code == 0, ended.err
    assert "base      shufflenet_v2_x0_5" in ended.err


def test_levels_without_effect_are_told_at_the_size_that_the_ablation_s_images_have(
    cli: Callable[..., Any], place: Path
) -> None:
    typed = ("ablate", "--study", "tiny.yaml", "--choices", "head.type=flatten", "--device", "cpu", "--dry-run")
    (place / "tiny.yaml").write_text(STUDY.replace("proxy: {", "proxy: {input_size: 8, "))
    # three stages of stride 2 leave one pixel of 8, which flattened is a global average
    assert "has no effect on the base" in cli(*typed).err
    ended = cli(*typed, "--set", "proxy.input_size=32")
    assert ended.code == 0, ended.err
    assert "2 networks, the base included" in ended.err


def test_a_folder_s_pictures_are_read_as_a_study_that_was_never_run_says(cli: Callable[..., Any], place: Path) -> None:
    for name in ("cat", "dog"):
        (place / "photos" / name).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (40, 32), (20 * number, 0, len(name))).save(place / "photos" / name / f"{number}.png")
    (place / "photos" / "cat" / "none.png").write_bytes(b"no picture")
    data = "dataset: folder:photos\ntest_share: 0.25\non_bad_image: skip"
    proxy = "proxy: {epochs: 1, batch_size: 4, validation_images: 4}"
    (place / "tiny.yaml").write_text(f"{STUDY[: STUDY.index('proxy:')].replace('dataset: digits', data)}{proxy}")
    ended = cli(
        "ablate", "--study", "tiny.yaml", "--choices", "kernel=5", "--data-dir", "cache", "--device", "cpu",
        "--dry-run",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "2 networks, the base included" in ended.err


def test_without_choices_it_is_as_large_as_the_study_and_says_what_is_left_out(
    cli: Callable[..., Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.search.plan._preflight", lambda *_, **__: None)
    (place / "tiny.yaml").write_text(STUDY + "trials: 10\n")
    ended = cli("ablate", "--study", "tiny.yaml", "--workers", "1", "--device", "cpu", "--dry-run")
    assert ended.code == 0, ended.err
    # 10 trials are 3 networks with 3 seeds
    assert "3 networks, the base included" in ended.err and "trainings 9 in all: each network with 3 seeds" in ended.err
    assert "9 trainings, because the study has 10 trials: one level of each choice first; left out: " in ended.err
    assert "estimated time: 9 min with 1 worker (made up)" in ended.err
    # a longer training leaves room for fewer, but for the base and one change in any case; --seeds and --most decide
    twice = cli("ablate", "--study", "tiny.yaml", "--set", "proxy.epochs=9", "--device", "cpu", "--dry-run")
    assert "2 networks, the base included" in twice.err
    none = cli("ablate", "--study", "tiny.yaml", "--set", "proxy.epochs=0", "--device", "cpu", "--dry-run")
    assert none.code == 2 and "proxy.epochs: must be at least 1, got 0" in none.err
    seeds = cli("ablate", "--study", "tiny.yaml", "--seeds", "1", "--device", "cpu", "--dry-run")
    assert "10 networks, the base included" in seeds.err
    whole = cli("ablate", "--study", "tiny.yaml", "--most", "100", "--device", "cpu", "--dry-run")
    assert "left out" not in whole.err and "each network with 5 seeds" in whole.err


def test_that_more_seeds_make_another_ablation_where_no_choices_are_named_is_said(
    cli: Callable[..., Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.search.plan._preflight", lambda *_, **__: None)
    (place / "tiny.yaml").write_text(STUDY + "trials: 12\n")
    typed = ("ablate", "--study", "tiny.yaml", "--device", "cpu", "--dry-run")
    three, six = cli(*typed), cli(*typed, "--seeds", "6")
    # 12 trials are 4 networks with 3 seeds, and 2 with 6
    assert "4 networks, the base included" in three.err and "2 networks, the base included" in six.err
    assert "more seeds leave room for fewer networks, which is another ablation" in " ".join(three.err.split())
    named = [cli(*typed, "--choices", "residual", "--seeds", seeds) for seeds in ("3", "6")]
    studies = [re.findall(r"tiny\.ablate-[0-9a-f]{6}", ended.err)[0] for ended in (three, six, *named)]
    assert studies[0] != studies[1] and studies[2] == studies[3]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--most", "3", "--choices", "kernel"], "networks with 5 seeds each"),
        (["--choices", "kernal"], "did you mean 'kernel'"),
        (["--choices", "kernel=9"], "choice 'kernel' cannot be '9'"),
        (["--choices", "kernel=3"], "nothing to compare"),
        (["--from", "knee"], "is not stored, so it has no trials"),
        (["--from", "shufflenet_v2_x0_6"], "did you mean"),
        (["--mode", "all-at-once"], "known: leave-one-out, one-at-a-time, pairs"),
        (["--set", "proxy.epoch=3", "--choices", "kernel"], "did you mean 'proxy.epochs'"),
        (["--set", "epochs"], "expected key=value"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_to_do(
    cli: Callable[..., Any], place: Path, typed: list[str], said: str
) -> None:
    ended = cli("ablate", "--study", "tiny.yaml", "--device", "cpu", "--dry-run", *typed)
    assert ended.code != 0
    assert said in " ".join(ended.err.split())


def test_trainings_that_are_left_are_counted_and_how_to_go_on_is_said(
    cli: Callable[..., Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = open_study("tiny.ablate-000000", storage=stored_ablation(place, failing="kernel=5"))
    monkeypatch.setattr(running, "run_displayed", lambda *_given: stored)
    typed = ["ablate", "--study", "tiny.yaml", "--choices", "kernel=3|5,residual", "--device", "cpu", "--json"]
    ended = cli(*typed, "--seeds", "4")  # three were trained, or have failed
    assert ended.code == 0, ended.err
    assert "3 trainings still to come: type the same command to continue" in ended.err
    assert len(json.loads(ended.out)["rows"]) == 2
    assert "still to come" not in cli(*typed, "--seeds", "3").err


def test_a_stored_ablation_has_intervals_and_sentences(place: Path) -> None:
    from archsearch.api.analyses import ablation_result
    from archsearch.api.study import open_study

    found = ablation_result(open_study("tiny.ablate-000000", storage=stored_ablation(place)))
    assert "top-1 61.00 %" in found.subtitle[1]
    effects, costs, alone = found.tables()
    # mean +2.0, s = 0.1, n = 3; two points in top-1 and latency, four comparisons: t(0.99375, 2) = 8.860, so
    # 8.860 x 0.1 / sqrt(3) = 0.512
    assert effects.columns[2].show(effects.rows[0][2]) == "+2.00 (+1.49 to +2.51)"
    # alone: t(0.975, 2) = 4.303, so 4.303 x 0.1 / sqrt(3) = 0.248
    assert alone.columns[1].show(alone.rows[0][1]) == "+2.00 (+1.75 to +2.25)"
    row = effects.dicts()[0]
    assert (row["change"], row["n"], row["latency_percent"]) == ("kernel=5", 3, pytest.approx(20.0, abs=0.01))
    assert costs.dicts()[0]["added_params"] == 1000.0
    assert "all 4 comparisons of both columns together (Bonferroni)" in effects.note
    assert any(line.startswith("kernel") for line in found.sentences)


def test_the_same_is_had_as_json_and_trials_that_failed_are_listed(place: Path) -> None:
    from archsearch.api.analyses import ablation_result
    from archsearch.api.output import result_json
    from archsearch.api.study import open_study

    study = open_study("tiny.ablate-000000", storage=stored_ablation(place, failing="residual=true"))
    content = json.loads(json.dumps(result_json(ablation_result(study)), allow_nan=False))
    assert content["design_study"] == "tiny.ablate-000000"
    kernel, residual = content["rows"]
    assert kernel["top1"]["differences"] == pytest.approx([2.0, 2.1, 1.9])
    assert (kernel["params"]["estimate"], kernel["params"]["exact"]) == (1000.0, True)
    assert residual["top1"] | {"finding": ""} == residual["top1"] | {"estimate": None, "n": 0, "finding": ""}
    assert content["missing"] == [
        {"point": "residual=true", "seed": seed, "why": content["missing"][seed]["why"]} for seed in SEEDS
    ]
    assert "out of memory" in content["missing"][0]["why"]


def test_other_commands_show_each_network_of_a_design_once(cli: Callable[..., Any], place: Path) -> None:
    url = stored_ablation(place)
    shown = cli("pareto", "--study", "tiny.ablate-000000", "--json", "--storage", url)
    assert shown.code == 0, shown.err
    content = json.loads(shown.out)
    assert sorted(row["top1_percent"] for row in content["front"]) == pytest.approx([61.0, 63.0])
    assert content["variants"] == []  # a key of a design is no network's name
    assert cli("studies", "--storage", url).code == 0
    described = cli("describe", "tiny.ablate-000000:1", "--storage", url)
    assert described.code == 0, described.err


def test_the_means_of_a_design_are_of_no_single_seed(place: Path) -> None:
    found = open_study("tiny.ablate-000000", storage=stored_ablation(place)).front
    assert [row["seed"] for row in front_rows(found)] == [None] * len(POINTS)
    assert front_rows(front_of([record(0, "base", 2)]))[0]["seed"] == 2


def test_the_study_of_a_design_stands_for_the_one_that_it_was_made_from(place: Path) -> None:
    url = stored_ablation(place)
    store_study(url, [], name="tiny")
    for given in ("tiny.ablate-000000", open_study("tiny.ablate-000000", storage=url)):
        assert open_base(given, storage=url).name == "tiny"


def test_an_ablation_is_seen_by_a_study_that_was_opened_and_asked_before_it_was_made(place: Path) -> None:
    url = stored_ablation(place)
    store_study(url, [], name="tiny")
    database = Database(url)

    def made_of(name: str) -> None:
        with database.writing() as session:
            row = session.query(StudyRow).filter_by(name="tiny.ablate-000000").one()
            row.config = {**row.config, "design": {**row.config["design"], "of": name}}

    made_of("another")
    study = open_study("tiny", storage=url)
    assert study.ablation is None
    made_of("tiny")
    assert study.ablation is not None
    database.close()


def test_a_report_answers_by_the_ablation_that_is_finished_while_another_has_only_begun(place: Path) -> None:
    url = stored_ablation(place)
    store_study(url, [], name="tiny")
    store_study(url, [record(0, "base", 0)], name="tiny.ablate-111111")
    database = Database(url)
    with database.writing() as session:
        finished, begun = (
            session.query(StudyRow).filter_by(name=f"tiny.ablate-{digest}").one() for digest in ("000000", "111111")
        )
        begun.config = {**begun.config, "design": finished.config["design"]}
    database.close()
    study = open_study("tiny", storage=url)
    assert study.ablation is not None and study.ablation.design_study == "tiny.ablate-000000"
    choices = make_report(study, figures=False).choices
    assert choices is not None and choices.points == study.ablation.worth


def test_a_study_that_is_stored_takes_no_other_key_than_of_proxy_and_latency(
    cli: Callable[..., Any], place: Path
) -> None:
    url = stored_ablation(place)
    database = Database(url)
    with database.writing() as session:  # the design's study as if it were a search
        row = session.query(StudyRow).one()
        row.config = {key: value for key, value in row.config.items() if key != "design"}
    database.close()
    ended = cli("ablate", "--study", "tiny.ablate-000000", "--set", "trials=3", "--dry-run", "--storage", url)
    assert ended.code != 0
    assert "only keys of proxy and latency can be changed" in ended.err
