"""`archsearch confirm`: which networks are looked at again, and what is printed of a stored confirmation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from makers import make_record
from stored import store_study

from archsearch.analysis.front import front_of
from archsearch.analysis.recommendation import recommendation_of
from archsearch.api import confirm
from archsearch.api.confirm import confirm_result, missed_by, near_front, plan_confirm, standard_errors
from archsearch.api.designed import DesignBase, design_config
from archsearch.api.output import result_json
from archsearch.api.study import open_study
from archsearch.api.trust import plan_trust
from archsearch.data.dataset import Dataset
from archsearch.designs import Design, DesignPoint
from archsearch.models.variants import find_variant
from archsearch.overrides import SectionChanges
from archsearch.records import Record, TrialStatus
from archsearch.search.runtime import Runtime
from archsearch.space.search_space import load_space
from archsearch.store.database import Database
from archsearch.store.rows import trial_key
from archsearch.store.schema import StudyRow, TrialRow

BASE = find_variant("shufflenet_v2_x0_5").spec.normalised(32)
KERNELS = (3, 4, 5, 6, 7)
# top-1 and milliseconds of the search: 3, 5 and 7 are its front; 4 misses it by a little, 6 by a lot
SEARCHED = {3: (60.0, 1.0), 4: (59.5, 1.1), 5: (64.0, 2.0), 6: (50.0, 3.0), 7: (66.0, 4.0)}


def network(kernel: int) -> Any:
    return BASE.with_choices({"kernel": kernel}).normalised(32)


def record(number: int, kernel: int, top1: float, ms: float, **more: Any) -> Record:
    made = make_record(
        number, top1=top1, p10=ms, choices=network(kernel).choices(), arch_id=network(kernel).arch_id,
        eval_images=5000, train_images=64, **more,
    )  # fmt: skip
    return replace(made, family="shufflenet_v2", seconds=20.0)


def searched() -> list[Record]:
    return [record(number, kernel, *SEARCHED[kernel]) for number, kernel in enumerate(KERNELS)]


def store_confirmation(url: str, name: str, *, times: float = 1.0, floor: float = 0.02, **device: Any) -> None:
    """A confirmation of kernels 3, 4 and 5 with two seeds, on a device that is so many times as slow."""
    points = tuple(
        DesignPoint(
            name=f"trial {KERNELS.index(kernel)}",
            family="shufflenet_v2",
            choices=network(kernel).choices(),
            arch_id=network(kernel).arch_id,
            trial=KERNELS.index(kernel),
        )
        for kernel in (3, 4, 5)
    )
    design = Design(purpose="confirm", of="small", points=points, seeds=(3, 4))
    seen = {
        3: [(58.0, 1.0), (60.0, 1.1), (64.0, 2.0)],
        4: [(58.4, 1.02), (60.2, 1.12), (64.4, 2.04)],
    }  # by seed: top-1 and milliseconds of kernels 3, 4 and 5
    cells = [(index, seed, *each) for seed, row in seen.items() for index, each in enumerate(row)]
    trials = [
        record(number, KERNELS[index], top1, times * ms, seed=seed, variant=trial_key(index, seed), **device)
        for number, (index, seed, top1, ms) in enumerate(cells)
    ]
    store_study(url, trials, name=name, noise_floor=floor)
    database = Database(url)
    with database.writing() as session:
        for row in session.query(StudyRow):
            row.space = load_space("shufflenet_v2").to_dict()
            if row.name == name:
                row.config = {**row.config, "design": asdict(design)}
    database.close()


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The searched study, and a confirmation of kernels 3, 4 and 5 with two seeds."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    proxy = {"epochs": 8, "train_images": 64, "validation_images": 40}
    store_study(url, searched(), proxy=proxy, noise_floor=0.02)
    store_confirmation(url, "small.confirm-000000")
    return url


def test_what_a_network_misses_the_front_by_is_counted_in_its_standard_errors() -> None:
    # against (30, 1.0) it is 2 points worse, and 0.5 ms slower: 2 / 1.0 = 2 or 0.5 / 0.1 = 5 steps; the less counts
    assert missed_by((32.0, 1.5), [(30.0, 1.0)], (1.0, 0.1)) == pytest.approx(2.0)
    # the most of what is asked by each member: 2 steps against the first, 4 against the second
    assert missed_by((32.0, 1.5), [(30.0, 1.0), (28.0, 1.1)], (1.0, 0.1)) == pytest.approx(4.0)
    assert missed_by((32.0, 0.9), [(30.0, 1.0)], (1.0, 0.1)) == 0.0
    assert missed_by((32.0, 1.5), [(30.0, 1.0)], (0.0, 0.0)) == math.inf
    assert missed_by((32.0, 1.5), [], (1.0, 0.1)) == 0.0


def test_standard_errors_are_binomial_and_half_the_noise_floor() -> None:
    front = front_of(searched(), noise_floor=0.02)
    row = next(row for row in front.rows if row.record.trial == 2)
    # error 36 % of 5,000 images: 100 sqrt(0.36 x 0.64 / 5000) = 0.679; 2.0 ms x 0.02 / 2
    assert standard_errors(front, row) == (pytest.approx(0.679, abs=1e-3), pytest.approx(0.02))
    # the mean over the classes is an error rate, too: 64 % of 5,000 images, and no size that is exact
    balanced = [
        replace(each, score=replace(each.score, balanced_top1_percent=36.0)) for each in searched() if each.score
    ]
    front = front_of(balanced, ("error_percent", "latency_ms", "balanced_error_percent"))
    assert standard_errors(front, front.rows[0])[2] == pytest.approx(0.679, abs=1e-3)


@pytest.mark.parametrize(
    ("top", "any_far", "trials"), [(10, False, [1]), (10, True, [1, 3]), (0, True, []), (1, True, [1])]
)
def test_neighbours_come_by_what_they_miss_and_far_ones_only_when_asked_for(
    top: int, any_far: bool, trials: Sequence[int]
) -> None:
    front = front_of(searched(), noise_floor=0.02)
    assert sorted(row.record.trial for row in front.members) == [0, 2, 4]
    assert [row.record.trial for row in near_front(front, top=top, any_far=any_far)] == trials


def test_a_dry_run_lists_the_front_and_its_neighbours_with_new_seeds(cli: Callable[..., Any], stored: str) -> None:
    ended = cli("confirm", "--study", "small", "--dry-run", "--device", "cpu", "--workers", "1", "--storage", stored)
    assert ended.code == 0, ended.err
    assert "networks  4: 3 of the front of study small, 1 near it" in ended.err
    assert "trainings 12 in all: each network with 3 seeds (3, 4, 5)" in ended.err  # a search has 0 to 2
    # every trial took 20 s for the same 8 epochs, and there are 12
    assert "estimated time: 4 min with 1 worker (from this study's own trials)" in ended.err
    assert len(open_study("small.confirm-000000", storage=stored).records) == 6
    fresh = cli("confirm", "--study", "small", "--dry-run", "--fresh-images", "--device", "cpu", "--storage", stored)
    assert fresh.code == 0, fresh.err
    assert fresh.err.splitlines()[1] != ended.err.splitlines()[1]  # other images are another study


def test_a_study_of_a_board_s_big_cores_is_confirmed_on_this_machine(cli: Callable[..., Any], stored: str) -> None:
    database = Database(stored)
    with database.writing() as session:
        for row in session.query(StudyRow).filter_by(name="small"):
            row.config = {**row.config, "latency": {"backend": "auto", "target": "command:python3", "cores": "big"}}
    database.close()
    ended = cli(
        "confirm", "--study", "small", "--target", "local", "--dry-run", "--device", "cpu", "--workers", "1",
        "--storage", stored,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "trainings 12 in all" in ended.err


def test_a_study_that_validates_on_fresh_images_is_confirmed_on_the_others_and_its_predictors_see_its_own(
    stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(stored)
    with database.writing() as session:
        for row in session.query(StudyRow).filter_by(name="small"):
            row.config = {**row.config, "proxy": {**row.config["proxy"], "fresh_images": True}}
    database.close()
    runtime = Runtime(storage=stored, device="cpu", workers=1)
    for asked in (False, True):
        planned = plan_confirm("small", runtime, fresh_images=asked)
        assert planned.plan.config.proxy.fresh_images is not asked

    def split(_self: Dataset, **asked: Any) -> NoReturn:
        raise LookupError(asked["fresh"])

    monkeypatch.setattr(Dataset, "split", split)
    with pytest.raises(LookupError, match="True"):
        plan_trust("small", runtime)


@pytest.mark.parametrize("command", ["confirm", "trust", "ablate"])
def test_a_design_of_other_images_than_its_study_s_is_refused(
    cli: Callable[..., Any], stored: str, command: str
) -> None:
    database = Database(stored)
    with database.writing() as session:
        for row in session.query(StudyRow).filter_by(name="small"):
            row.facts = {**row.facts, "data_fingerprint": "0" * 12}
    database.close()
    ended = cli(command, "--study", "small", "--dry-run", "--device", "cpu", "--storage", stored)
    assert ended.code == 2
    assert "the images of 'digits' are not those that study 'small' was run on" in " ".join(ended.err.split())


def test_a_design_stands_for_the_study_that_it_was_made_from(cli: Callable[..., Any], stored: str) -> None:
    for arguments in ([], ["--study", "small.confirm-000000"]):
        ended = cli("confirm", *arguments, "--dry-run", "--device", "cpu", "--storage", stored)
        assert ended.code == 0, ended.err
        assert "small.confirm-" in ended.err and "confirm-000000.confirm" not in ended.err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--study", "cifar10"], "is not stored: it has no front yet"),
        (["--study", "small", "--most", "2"], "4 networks with 3 seeds each are 12 trainings, more than 2"),
        (["--study", "smal"], "did you mean 'small'"),
    ],
)
def test_what_cannot_be_confirmed_is_refused(cli: Callable[..., Any], stored: str, typed: list[str], said: str) -> None:
    ended = cli("confirm", *typed, "--dry-run", "--device", "cpu", "--storage", stored)
    assert ended.code != 0
    assert said in " ".join(ended.err.split())


def test_each_network_has_intervals_and_a_probability_and_the_knee_is_of_the_means(stored: str) -> None:
    study, made = open_study("small", storage=stored), open_study("small.confirm-000000", storage=stored)
    found = confirm_result(study, made)
    content = result_json(found)
    assert (content["design"]["of"], content["design_study"]) == ("small", "small.confirm-000000")
    three, four, five = content["points"]
    assert [three["top1_percent"], four["top1_percent"], five["top1_percent"]] == pytest.approx([58.2, 60.1, 64.2])
    # two seeds: t(0.975, 1) = 12.706, s / sqrt(2) = 0.2 and 0.1 points
    assert three["top1_high_percent"] - three["top1_percent"] == pytest.approx(12.706 * 0.2, rel=1e-3)
    assert four["top1_percent"] - four["top1_low_percent"] == pytest.approx(12.706 * 0.1, rel=1e-3)
    assert (three["was_on_front"], four["was_on_front"], five["was_on_front"]) == (True, False, True)
    assert all(0.0 <= each["probability_on_front"] <= 1.0 for each in content["points"])
    # means at (58.2, 1.01), (60.1, 1.11) and (64.2, 2.02): scaled sums 1, 0.683 + 0.099 and 1
    assert found.knee == content["knee"] == "trial 1"
    assert any(text.startswith("The knee of the means is trial 1: top-1 60.10 % (58.83 to") for text in found.sentences)
    again = found.tables()[0]
    assert again.columns[3].show(again.rows[0][3]) == "58.20 (55.66 to 60.74)"


def test_a_confirmation_that_has_only_begun_does_not_take_the_place_of_a_finished_one(stored: str) -> None:
    store_confirmation(stored, "small.confirm-222222")
    database = Database(stored)

    def newest(ended: int) -> str:
        with database.writing() as session:
            made = session.query(StudyRow).filter_by(name="small.confirm-222222").one()
            for trial in session.query(TrialRow).filter_by(study_id=made.id):
                trial.status = TrialStatus.COMPLETE if (trial.number or 0) < ended else TrialStatus.RUNNING
        study = open_study("small", storage=stored)
        assert study.confirmed is not None and study.recommendation.confirmed is not None
        assert study.confirmed.design_study == study.recommendation.confirmed.design_study
        return study.confirmed.design_study

    assert [newest(ended) for ended in (0, 2, 3)] == [
        "small.confirm-000000", "small.confirm-000000", "small.confirm-222222",
    ]  # fmt: skip
    database.close()


def test_a_confirmation_on_another_device_stands_for_itself(stored: str) -> None:
    before = open_study("small", storage=stored)
    store_confirmation(stored, "small.confirm-111111", times=30.0, device="ssh:pi5", fingerprint="b0a2db0a2db0")
    study, made = open_study("small", storage=stored), open_study("small.confirm-111111", storage=stored)
    assert study.confirmed == before.confirmed and study.confirmed is not None
    assert study.confirmed.design_study == "small.confirm-000000"
    assert study.recommendation.sentence == before.recommendation.sentence
    found = confirm_result(study, made)
    assert found.points[0].latency_ms == pytest.approx(30.0 * math.sqrt(1.0 * 1.02))  # the geometric mean
    assert [(each.searched_top1_percent, each.searched_latency_ms) for each in found.points] == [
        (60.0, None), (59.5, None), (64.0, None),
    ]  # fmt: skip
    assert found.warnings == (
        "latencies cannot be compared with the search's: they are of another device or batch (ssh:pi5, batch 1, "
        "fingerprint b0a2db0a2db0)",
    )


def test_a_confirmation_with_another_batch_stands_for_itself(stored: str) -> None:
    store_confirmation(stored, "small.confirm-111111", times=6.0, batch=8)
    study, made = open_study("small", storage=stored), open_study("small.confirm-111111", storage=stored)
    assert study.confirmed is not None and study.confirmed.design_study == "small.confirm-000000"
    assert {each.searched_latency_ms for each in confirm_result(study, made).points} == {None}


def test_what_became_of_a_design_without_a_result_is_said_of_all_its_trials(stored: str) -> None:
    lost = "DivergedError: the loss became NaN in epoch 2"
    store_confirmation(stored, "small.confirm-111111", status=TrialStatus.FAILED, reason=lost)
    found = open_study("small.confirm-111111", storage=stored)  # three networks with two seeds each
    sentence, reason, *_ = found.recommendation.sentences
    assert sentence == "There is no network to take: none of the study's trials is complete (6 failed)."
    assert reason == f"6 trials: {lost}"
    assert found.front.statuses == {"failed": 6}


class Planned(Exception):
    """Ends a plan before anything is tried."""


@pytest.mark.parametrize(("target", "batch", "cores"), [("command:python3", 8, "big"), ("ssh:pi5", None, "all")])
def test_on_its_own_board_a_study_is_confirmed_with_its_own_batch_and_cores(
    stored: str, monkeypatch: pytest.MonkeyPatch, target: str, batch: int | None, cores: str
) -> None:
    database = Database(stored)
    with database.writing() as session:
        for row in session.query(StudyRow).filter_by(name="small"):
            own = {"backend": "auto", "target": "command:python3", "batch": 8, "cores": "big"}
            row.config = {**row.config, "latency": own}
    database.close()

    def planned(base: DesignBase, design: Design, _runtime: Runtime, *, changes: SectionChanges) -> None:
        latency = design_config(base, design, changes).latency
        raise Planned(latency.target, latency.batch, latency.cores)

    monkeypatch.setattr(confirm, "plan_design", planned)
    with pytest.raises(Planned) as found:
        plan_confirm("small", Runtime(storage=stored), target=target)
    assert found.value.args == (target, batch, cores)


@pytest.mark.parametrize(
    ("device", "floor", "beside"),
    [({}, 0.3, "shufflenet_v2_x1_0"), ({"device": "ssh:pi5", "fingerprint": "b0a2db0a2db0"}, 0.02, None)],
)
def test_what_was_confirmed_on_another_device_has_its_noise_floor_and_no_latency_of_the_search_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: dict[str, str], floor: float, beside: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    published = replace(record(5, 6, 40.0, 9.0), variant="shufflenet_v2_x1_0", arch_id="f" * 12)
    store_study(url, [*searched()[:4], published], noise_floor=0.3)
    store_confirmation(url, "small.confirm-111111", times=30.0, **device)  # with a floor of 0.02
    study, made = open_study("small", storage=url), open_study("small.confirm-111111", storage=url)
    found = confirm_result(study, made)
    assert found.noise_floor.relative == floor
    answer = recommendation_of(study.front, study.networks, confirmed=found)
    assert (None if answer.published is None else answer.published.record.variant) == beside
    # 30.3 and 33.3 ms are a tie below 30 %: the front of the means is trials 1 and 2, and two networks have no knee.
    # Below 2 % they are none: trial 0 is on it, too, and trial 1 the knee.
    assert answer.trial == (2 if beside else 1)


@pytest.mark.parametrize(
    ("device", "faster"),
    [
        ({}, 100.0 * (1.0 - math.sqrt(2.0 * 2.04) / math.sqrt(1.1 * 1.12))),  # confirmed here, where it is 82 % slower
        ({"device": "ssh:pi5", "fingerprint": "b0a2db0a2db0"}, 100.0 * (1.0 - 2.0 / 9.0)),  # as searched
    ],
)
def test_where_a_confirmation_on_another_device_lacks_a_network_of_the_front_its_latencies_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: dict[str, str], faster: float
) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    first, _, *others = searched()
    store_study(url, [first, record(1, 4, 59.5, 9.0, variant="shufflenet_v2_x1_0"), *others], noise_floor=0.02)
    store_confirmation(url, "small.confirm-111111", times=30.0 if device else 1.0, **device)
    study, made = open_study("small", storage=url), open_study("small.confirm-111111", storage=url)
    answer = recommendation_of(study.front, study.networks, confirmed=confirm_result(study, made))
    assert answer.warnings == ("The confirmation has too few trainings of trial 4: this is of the searched front.",)
    assert answer.sentence.startswith("Take trial 2 (64.00 % top-1, 2.00 ms): ")
    assert answer.published is not None and answer.published.record.trial == 1
    assert {each.objective: each.percent for each in answer.published.costs} == {"latency_ms": pytest.approx(faster)}


@pytest.mark.parametrize(
    "typed",
    [
        ("run", "--study", "quickstart", "--target", "pi5", "--device", "cpu", "--dry-run"),
        ("guidelines", "--table", "4", "--target", "pi5"),
        ("confirm", "--study", "small", "--top", "0", "--target", "pi5", "--dry-run"),
        ("confirm", "--study", "small", "--sustained", "10m", "--target", "pi5"),
    ],
)
def test_a_name_that_is_no_target_is_refused_with_what_there_is(
    cli: Callable[..., Any], stored: str, typed: tuple[str, ...]
) -> None:
    ended = cli(*typed, *(("--storage", stored) if typed[0] == "confirm" else ()))
    assert ended.code == 2
    assert "target 'pi5': unknown" in ended.err and "ssh:HOST" in ended.err
