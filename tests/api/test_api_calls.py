"""The calls that a Python user tries first."""

from __future__ import annotations

import inspect
import json
import pickle
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
import typer
from makers import make_record, make_score
from stored import store_study
from torchvision.models import shufflenet_v2_x0_5

import archsearch
from archsearch.api.retrain import _keep
from archsearch.cli.main import app
from archsearch.errors import (
    ArchsearchError,
    ConfigError,
    DataError,
    OverrideError,
    StoreError,
    TrainingBusyError,
    UnknownNameError,
)
from archsearch.files import locked
from archsearch.models.families import FAMILIES
from archsearch.overrides import read_overrides
from archsearch.records import Epoch
from archsearch.store import studies as stored_rows
from archsearch.store.database import Database
from archsearch.store.schema import StudyRow
from archsearch.training.distributed import ALONE
from archsearch.training.retrain import RetrainedSeed

CURVE = (Epoch(epoch=1, train_loss=2.0, top1_percent=20.0, learning_rate=0.1, train_seconds=1.5),)


@pytest.mark.parametrize("given", [str, Path])
def test_data_are_named_by_a_path_or_a_text(given: type[str] | type[Path], tmp_path: Path) -> None:
    missing = tmp_path / "cifar"
    for call in (
        lambda: archsearch.plan("cifar10", data_dir=given(missing), overrides={"dataset": f"npz:{missing}"}),
        lambda: archsearch.data(given(missing / "absent.npz"), data_dir=given(missing)),
        lambda: archsearch.describe(given(missing / "spec.json")),
        lambda: archsearch.audit(given(missing / "spec.json")),
        lambda: archsearch.measure(given(missing / "spec.json"), device="cpu"),
        lambda: archsearch.load(given(missing)),
    ):
        with pytest.raises(ArchsearchError):
            call()


def test_the_home_folder_is_meant_by_its_sign_in_every_path(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)
    (home / "mine.yaml").write_text("family: shufflenet_v2\nchoices: {kernel: 5}\n")
    assert archsearch.describe("~/mine.yaml", input_size=32, num_classes=10).choices["stage2.kernel"] == 5
    assert archsearch.plot("front", study, out="~/front.json") == home / "front.json"
    assert study.report("~/page.md") == archsearch.report(study, out=Path("~/page.md")) == home / "page.md"
    (home / "model").mkdir()
    (home / "model" / "spec.json").write_text("{}")
    for call in (archsearch.load, archsearch.export):
        with pytest.raises(StoreError, match=re.escape(f"{home / 'model' / 'spec.json'}: damaged")):
            call("~/model")
    with pytest.raises(DataError, match="'folder:~'"):
        archsearch.data("~")
    assert not list(elsewhere.iterdir())


def test_the_home_folder_is_meant_by_its_sign_in_the_url_of_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(elsewhere)
    store_study("sqlite:///~/mine.db", [make_record(0)])
    opened = archsearch.open_study("small", storage="sqlite:///~/mine.db")
    assert opened.storage == f"sqlite:///{tmp_path}/mine.db" and (tmp_path / "mine.db").is_file()
    assert not list(elsewhere.iterdir())


def test_a_database_that_is_named_by_a_path_is_refused_with_the_url_that_names_one(tmp_path: Path) -> None:
    file: Any = tmp_path / "studies.db"
    for call in (archsearch.open_study, archsearch.plan, archsearch.pareto, archsearch.confirm):
        with pytest.raises(ConfigError, match=f"^storage: not a database URL: '{re.escape(str(file))}'") as caught:
            call("quickstart", storage=file)
        assert caught.value.hint is not None and "sqlite:///" in caught.value.hint


def test_the_python_of_the_page_for_programs_runs_as_it_stands(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of docs/agents.md; a stored study stands for the run, and what was stored of it is told."""
    for extra in ("pandas", "tensorboard"):
        pytest.importorskip(extra)

    def run(name: str, *, callbacks: Sequence[archsearch.RunCallbacks] = (), **asked: Any) -> archsearch.Study:
        inspect.signature(real).bind(name, callbacks=callbacks, **asked)
        told = archsearch.CallbackList(callbacks)
        told.begun(study.info)
        for record in study.records:
            told.epoch(record.trial, CURVE[0])
            told.trial_ended(record)
        return study

    real = archsearch.run
    monkeypatch.setattr(archsearch, "run", run, raising=False)
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).resolve().parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    exec(compile("\n".join(blocks), "docs/agents.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["0 1 20.0", "0 complete"]
    assert len(list((tmp_path / "logs" / "small").iterdir())) == len(study.records)


def test_every_function_goes_into_a_pool_of_processes() -> None:
    for name in archsearch.__all__:
        found = getattr(archsearch, name)
        assert pickle.loads(pickle.dumps(found)) is found


def commands(group: Any = None, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command of the command line."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))
        else:
            yield (*before, name)


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_has_a_function_of_its_name_with_types_and_words(words: tuple[str, ...]) -> None:
    function = getattr(archsearch, "_".join(words).replace("-", "_"))
    found = inspect.signature(function)
    assert found.return_annotation not in (inspect.Signature.empty, "Any")
    assert all(each.annotation is not inspect.Parameter.empty for each in found.parameters.values())
    module = sys.modules[archsearch._HOMES["_".join(words).replace("-", "_")]]
    assert "Raises" in getattr(module, "_".join(words).replace("-", "_")).__doc__


def test_a_network_is_made_by_its_name_alone_at_the_size_that_the_paper_prints() -> None:
    made = archsearch.create_model("shufflenet_v2_x0_5")
    assert sum(each.numel() for each in made.parameters()) == sum(
        each.numel() for each in shufflenet_v2_x0_5(weights=None).parameters()
    )


def test_a_network_is_made_for_other_images_and_classes() -> None:
    made = archsearch.create_model("shufflenet_v2_x0_5", num_classes=10, input_size=32, changes={"residual": True})
    assert made(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_the_same_seed_makes_the_same_network() -> None:
    one, other = (archsearch.create_model("resnet20", num_classes=10, input_size=32, seed=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_each_seed_makes_its_network_in_whatever_thread() -> None:
    def made(seed: int) -> torch.Tensor:
        model = archsearch.create_model("shufflenet_v2_x0_5", num_classes=10, input_size=32, seed=seed)
        return torch.cat([each.flatten() for each in model.parameters()])

    alone, before = [made(seed) for seed in range(4)], torch.get_rng_state()
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(made, range(4)))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_name_given_to_build_is_refused_with_the_call_that_takes_one() -> None:
    with pytest.raises(ConfigError, match="got 'shufflenet_v2_x0_5'") as caught:
        archsearch.build("shufflenet_v2_x0_5", num_classes=10, input_size=32)  # type: ignore[arg-type]
    assert caught.value.hint is not None and "create_model" in caught.value.hint


def test_a_specification_is_built() -> None:
    assert archsearch.build(FAMILIES["shufflenet_v2"].base, num_classes=10, input_size=32) is not None


def test_one_name_alone_is_measured_and_compared_as_one() -> None:
    with pytest.raises(UnknownNameError, match="'shufflenet_v3'"):
        archsearch.measure("shufflenet_v3")
    with pytest.raises(ArchsearchError) as caught:
        archsearch.compare("quickstart", storage="sqlite:///nothing-here.db")
    assert "'q'" not in str(caught.value)


@pytest.mark.parametrize(
    "names", [[], (name for name in ()), np.array([], dtype=str)], ids=["list", "generator", "array"]
)
def test_no_network_is_neither_measured_nor_audited(names: Any) -> None:
    for call in (archsearch.measure, archsearch.audit):
        with pytest.raises(ConfigError, match="no network is named"):
            call(names)


def test_networks_are_named_by_an_array() -> None:
    names: Any = np.array(["resnet20", "shufflenet_v2_x0_5"])
    found = archsearch.audit(names, input_size=32, num_classes=10)
    assert [each.name for each in found.networks] == ["resnet20", "shufflenet_v2_x0_5"]
    with pytest.raises(UnknownNameError, match="'resnet21'"):
        archsearch.measure(np.array(["resnet20", "resnet21"]))  # type: ignore[arg-type]


def test_the_choices_of_an_ablation_are_named_by_an_array(tmp_path: Path) -> None:
    choices: Any = np.array(["kernel", "attention"])
    with pytest.raises(ConfigError, match="more than 1 networks"):
        archsearch.ablate("quickstart", choices=choices, most=1, storage=f"sqlite:///{tmp_path}/none.db", device="cpu")


def test_levels_of_an_ablation_in_a_mapping_are_not_left_out_in_silence() -> None:
    choices: Any = {"kernel": [3, 5]}
    with pytest.raises(ConfigError, match=r"^choices \{'kernel': \[3, 5\]\}: levels stand behind a name as text"):
        archsearch.ablate("quickstart", choices=choices, storage="sqlite:///nothing-here.db")


def test_overrides_are_a_mapping_or_texts_and_errors_name_their_key_and_no_option() -> None:
    assert archsearch.plan("quickstart", overrides={"proxy.epochs": 3}).config.proxy.epochs == 3
    assert archsearch.plan("quickstart", overrides=["proxy.epochs=3"]).config.proxy.epochs == 3
    assert archsearch.plan("quickstart", overrides="proxy.epochs=3", seed=5).config.seed == 5
    with pytest.raises(ConfigError, match=r"^override 'proxy\.epoch': unknown key") as caught:
        archsearch.plan("quickstart", overrides={"proxy.epoch": 3})
    assert "--set" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("key", ["trials", "seed", "workers"])
def test_a_key_of_a_study_is_not_given_as_an_override_and_as_an_argument(key: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {key: 1, "device": "cpu", "storage": f"sqlite:///{tmp_path}/none.db"}
    for call in (archsearch.plan, archsearch.run):
        with pytest.raises(OverrideError, match=f"^override '{key}': it is given as an argument, too"):
            call("quickstart", overrides={key: 2}, **given)


def test_what_one_would_have_typed_is_stored_with_a_study_that_python_begins(tmp_path: Path) -> None:
    path, asked = tmp_path / "mine.yaml", {"proxy.epochs": 3, "restrict": {"width": [0.5, 1.0]}, "sampler": "random"}
    path.write_text("space: shufflenet_v2\ndataset: digits\nproxy: {validation_images: 300}\n")
    planned = archsearch.plan(path, overrides=asked, seed=np.int64(4), data_dir=tmp_path / "my data")
    *begun, where, place = shlex.split(planned.facts["command"])
    assert begun[:4] == ["archsearch", "run", "--study", str(path)]
    assert set(begun[4::2]) == {"--set"} and read_overrides(begun[5::2]) == {**asked, "seed": 4}
    assert (where, place) == ("--data-dir", f"{tmp_path}/my data")
    assert archsearch.plan("quickstart").facts["command"] == "archsearch run --study quickstart"
    assert archsearch.plan("quickstart", command="make study").facts["command"] == "make study"


def test_a_study_is_named_by_a_path_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("space: shufflenet_v2\ndataset: digits\nproxy: {validation_images: 300}\n")
    assert archsearch.plan(path).config.name == "mine"
    with pytest.raises(ArchsearchError, match="no database"):
        archsearch.open_study(path, storage=f"sqlite:///{tmp_path}/none.db")


@pytest.fixture
def study(tmp_path: Path) -> archsearch.Study:
    url = f"sqlite:///{tmp_path}/studies.db"
    store_study(url, [make_record(trial) for trial in range(4)], name="small")
    return archsearch.open_study("small", storage=url)


def test_a_database_that_is_not_read_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the shipped studies are in no database"):
        archsearch.studies(shipped=True, storage=f"sqlite:///{tmp_path}/none.db")
    assert archsearch.studies(shipped=True).stored == ()


def test_a_study_with_an_objective_that_is_gone_is_named_and_the_others_are_listed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    for name in ("small", "other"):
        store_study(url, [make_record(0)], name=name)
    database = Database(url)
    with database.writing() as session:
        row = session.query(StudyRow).filter_by(name="other").one()
        row.config = {**row.config, "objectives": ["error_percent", "latency_ms", "memory"]}
    database.close()
    said = "study 'other' as stored: unknown objective 'memory'"
    with pytest.raises(UnknownNameError, match=f"^{said}"):
        archsearch.pareto("other", storage=url)
    listed = archsearch.studies(storage=url)
    assert [each.study for each in listed.stored] == ["small"]
    (warning,) = listed.warnings
    assert warning.startswith(f"left out: {said}")


def test_to_list_studies_none_is_read_for_each_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, read, real = f"sqlite:///{tmp_path}/studies.db", [], stored_rows._info

    def counted(*given: Any) -> Any:
        read.append(given)
        return real(*given)

    for number in range(5):
        store_study(url, [make_record(0)], name=f"s{number}")
    monkeypatch.setattr("archsearch.store.studies._info", counted)
    assert len(archsearch.studies(storage=url).stored) == 5
    # each as one to list, and as one that names itself; with all others, to see whether they confirm it, 5 + 5 x 5
    assert len(read) == 10


def test_a_trial_is_chosen_by_its_number_as_an_integer_or_a_text(study: archsearch.Study) -> None:
    assert study.choose(3).record == study.choose("3").record == study.records[3]
    with pytest.raises(ArchsearchError, match="no trial 4"):
        study.choose(4)
    with pytest.raises(UnknownNameError):
        study.choose("³")  # a digit of Unicode that int() refuses


def test_a_rule_is_refused_where_best_is_not_asked_for(study: archsearch.Study, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{}")
    for call in (
        lambda: study.choose(3, rule="knee"),
        lambda: study.choose_all("front,3", rule="knee"),
        lambda: archsearch.retrain(study, trial=3, rule="knee", device="cpu"),
        lambda: archsearch.retrain(study, trial=study.choose(3), rule="knee", device="cpu"),
        lambda: archsearch.export(3, study=study, rule="knee"),
        lambda: archsearch.export(tmp_path, rule="knee"),
    ):
        with pytest.raises(ConfigError, match=r"^rule knee: it says what best means, and best is not asked for"):
            call()
    assert study.choose_all("3, best", rule="latency")[-1].spec == study.choose("best", rule="latency").spec


def test_a_whole_number_of_numpy_is_taken_as_pythons_own(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def trained(*_: Any, **options: Any) -> None:
        asked.update(options)
        raise ArchsearchError("asked")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stored_rows.StudyInfo, "check_images", lambda *_: None)
    monkeypatch.setattr("archsearch.api.retrain.retrain_seed", trained)
    sizes: dict[str, Any] = {"input_size": np.int64(32), "num_classes": np.array([3, 9]).max() + 1}
    planned = archsearch.plan(
        "quickstart", trials=np.int64(7), seed=np.int64(5), overrides={"proxy.epochs": np.int64(3)}
    )
    with pytest.raises(ArchsearchError, match="asked"):
        archsearch.retrain(study, trial=np.int64(3), epochs=np.int64(2), batch_size=np.int64(64), threads=1)
    assert study.choose(np.int64(3)).record == study.records[3]
    assert study.choose_all(np.int64(3)) == study.choose_all(3) == (study.choose(3),)
    one, other = (archsearch.create_model("resnet20", **sizes, seed=seed) for seed in (3, np.int64(3)))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert archsearch.describe("shufflenet_v2_x0_5", **sizes).plain()["cost"]["num_classes"] == 10
    assert (planned.config.seed, planned.config.proxy.epochs) == (5, 3)
    # as it is handed to the workers, and stands in a checkpoint
    assert json.dumps([planned.total, asked["epochs"], asked["batch_size"]]) == "[7, 2, 64]"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda study: archsearch.retrain(study, epochs=2.5), "epochs 2.5"),
        (lambda study: archsearch.retrain(study, seeds="3"), "seeds '3'"),
        (lambda study: archsearch.retrain(study, threads=1.5), "threads 1.5"),
        (lambda study: archsearch.confirm(study, seeds=2.5), "seeds 2.5"),
        (lambda study: archsearch.confirm(study, top="3"), "top '3'"),
        (lambda study: archsearch.confirm(study, most=9.5), "most 9.5"),
        (lambda study: archsearch.ablate(study, seeds=2.5), "seeds 2.5"),
        (lambda study: archsearch.ablate(study, most="9"), "most '9'"),
        (lambda study: archsearch.trust(study, networks=2.5), "networks 2.5"),
        (lambda study: archsearch.trust(study, seeds=1.5), "seeds 1.5"),
        (lambda study: archsearch.replay(study, workers=1.5), "workers 1.5"),
        (lambda _: archsearch.plan("quickstart", workers=1.5, device="cpu"), "workers 1.5"),
        (lambda _: archsearch.run("quickstart", plateau_trials="9"), "plateau_trials '9'"),
        (lambda _: archsearch.describe("shufflenet_v2_x0_5", input_size=32.5), "input_size 32.5"),
        (lambda _: archsearch.measure("shufflenet_v2_x0_5", threads=1.5, device="cpu"), "threads 1.5"),
        (lambda _: archsearch.guidelines(["1"], batch=1.5, device="cpu"), "batch 1.5"),
        (lambda _: archsearch.plan("quickstart", trials=7.5), "trials 7.5"),
        (lambda _: archsearch.plan("quickstart", seed=0.5), "seed 0.5"),
        (lambda _: archsearch.create_model("shufflenet_v2_x0_5", seed=0.5), "seed 0.5"),
    ],
)
def test_a_number_that_is_not_whole_is_refused_by_its_name(
    call: Callable[[archsearch.Study], Any], said: str, study: archsearch.Study
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}: must be a whole number$"):
        call(study)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda study: archsearch.retrain(study, checkpoint_seconds="60s"), "checkpoint_seconds '60s'"),
        (lambda study: archsearch.retrain(study, checkpoint_seconds=-1), "checkpoint_seconds -1"),
        (lambda _: archsearch.measure("shufflenet_v2_x0_5", budget_seconds="5", device="cpu"), "budget_seconds '5'"),
    ],
)
def test_a_time_that_is_none_is_refused_by_its_name(
    call: Callable[[archsearch.Study], Any], said: str, study: archsearch.Study
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}: must be a number of seconds, 0 or more$"):
        call(study)


def test_networks_are_chosen_by_a_list_each_once_with_the_published_ones_next_to_them(tmp_path: Path) -> None:
    records = [
        make_record(0, top1=40.0, p10=1.0, variant="shufflenet_v2_x0_5"),
        make_record(1, top1=50.0, p10=2.0),
        make_record(2, top1=45.0, p10=3.0, variant="shufflenet_v2_x1_0"),
        make_record(3, top1=60.0, p10=4.0),
        make_record(4, top1=10.0, p10=4.5, variant="plain_cnn"),  # ours: no published network
        make_record(5, top1=55.0, p10=5.0, variant="resnet20"),
        make_record(6, top1=56.0, p10=9.0, variant="mobilenet_v2_x0_5"),
    ]
    records = [replace(each, choices={"stage2.channels": 40 + 8 * each.trial}) for each in records]
    url = f"sqlite:///{tmp_path}/studies.db"
    store_study(url, records, name="small")
    opened = archsearch.open_study("small", storage=url)

    def trials(which: str, **more: bool) -> list[int | None]:
        return [each.record.trial if each.record else None for each in opened.choose_all(which, **more)]

    assert trials("front") == [0, 1, 3]  # fastest first
    assert trials("3, front,3") == [3, 0, 1]
    assert trials("variants") == [0, 2, 4, 5, 6]
    assert trials("3", with_variants=True) == [3, 2, 5]
    assert trials("6", with_variants=True) == [6, 5]
    assert trials("shufflenet_v2_x2_0", with_variants=True) == [None]  # not in the study: its latency is not known
    with pytest.raises(ConfigError, match="no trial 9"):
        opened.choose_all("front,9")


def test_an_opened_study_is_taken_as_its_name_is(study: archsearch.Study) -> None:
    for given in (study, study.name, [study]):
        with pytest.raises(ConfigError, match="'small' was measured on one device alone"):
            archsearch.compare(given, storage=study.storage)
    for named in (study, study.name):
        with pytest.raises(ArchsearchError, match="no trial 99"):
            archsearch.retrain(named, trial=99, storage=study.storage)
        with pytest.raises(OverrideError, match="only keys of proxy and latency"):
            archsearch.ablate(named, overrides={"trials": 3}, storage=study.storage)


@pytest.mark.parametrize("call", [archsearch.run, archsearch.plan])
def test_an_opened_study_is_not_run_but_the_one_of_its_name(call: Callable[..., Any], study: archsearch.Study) -> None:
    with pytest.raises(ConfigError, match="study 'small' is given opened") as caught:
        call(study, trials=50, storage=study.storage)
    assert caught.value.hint is not None and "archsearch.run('small')" in caught.value.hint


def test_equally_named_studies_of_two_databases_are_compared(study: archsearch.Study, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    store_study(url, [make_record(trial, top1=60.0 - trial, p10=1.0 + trial) for trial in range(1, 5)], name="small")
    elsewhere = archsearch.open_study("small", storage=url)
    found = archsearch.compare([study, elsewhere])
    assert found.sides == found.studies == (f"small in {study.storage}", f"small in {url}")
    assert len(found.shared) == 3  # trials 1, 2 and 3
    with pytest.raises(ConfigError, match="'small' is given twice"):
        archsearch.compare([study, elsewhere, archsearch.open_study("small", storage=study.storage)])


def test_what_is_made_of_an_opened_study_is_read_and_stored_where_that_is(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def served(database: Any, name: str, **_: Any) -> None:
        raise ArchsearchError(f"{database.url} {name}")

    def planned(_: Any, runtime: Any, **__: Any) -> None:
        raise ArchsearchError(str(runtime.storage))

    monkeypatch.chdir(tmp_path)  # there is no database at the usual place
    monkeypatch.setattr("archsearch.api.servers.serve_dashboard", served)
    for name in ("ablation", "confirm", "trust"):
        monkeypatch.setattr(f"archsearch.api.designs.plan_{name}", planned)
    with pytest.raises(ArchsearchError, match=re.escape(f"{study.storage} small")):
        archsearch.dashboard(study)
    with pytest.raises(ArchsearchError, match="no complete trial with its learning curve"):
        archsearch.replay(study)
    for call in (archsearch.ablate, archsearch.confirm, archsearch.trust):
        for options, storage in (({}, study.storage), ({"storage": "sqlite:///other.db"}, "sqlite:///other.db")):
            with pytest.raises(ArchsearchError, match=re.escape(str(storage))):
                call(study, **options)  # type: ignore[arg-type]
        with pytest.raises(ArchsearchError, match="None"):
            call("small")


def test_an_opened_study_takes_nothing_of_another_one_in_its_place(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that was removed and begun anew; or, where it has no folder, that of another folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stored_rows.StudyInfo, "check_images", lambda *_: None)
    monkeypatch.setattr("archsearch.api.retrain.retrain_seed", lambda *_, **__: pytest.fail("trained"))
    assert [each.trial for each in study.records_with_curves] == [0, 1, 2, 3]
    stale = archsearch.open_study("small", storage=study.storage)
    (tmp_path / "studies.db").unlink()
    store_study(str(study.storage), [make_record(trial) for trial in range(9)], name="small")
    asked: tuple[Callable[[], Any], ...] = (
        lambda: stale.records_with_curves,
        lambda: stale.confirmed,
        lambda: archsearch.replay(stale),
        lambda: archsearch.retrain(stale, trial=3),
    )
    for ask in asked:
        with pytest.raises(StoreError, match="no longer holds the study 'small' that was opened"):
            ask()


def test_a_retraining_leaves_the_threads_of_whoever_called_it(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    had: list[int] = []

    def trained(*_: Any, **__: Any) -> None:
        had.append(torch.get_num_threads())
        raise ArchsearchError("trained")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stored_rows.StudyInfo, "check_images", lambda *_: None)
    monkeypatch.setattr("archsearch.api.retrain.retrain_seed", trained)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(ArchsearchError, match="trained"):
            archsearch.retrain(study, trial=3, device=torch.device("cpu"), threads=1)  # type: ignore[arg-type]
        assert (had, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_designs_tell_one_callback_or_several_as_a_run_does(
    study: archsearch.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []

    class Heard(archsearch.RunCallbacks):
        def stopping(self) -> None:
            heard.append(self)

    def planned(_: Any, runtime: archsearch.Runtime, **__: Any) -> None:
        runtime.callbacks.stopping()
        raise ArchsearchError("told")

    for name in ("ablation", "confirm", "trust"):
        monkeypatch.setattr(f"archsearch.api.designs.plan_{name}", planned)
    monkeypatch.setattr("archsearch.api.run.plan_study", planned)
    one, other = Heard(), Heard()
    for call in (archsearch.ablate, archsearch.confirm, archsearch.trust, archsearch.run):
        for given, told in (([one, other], [one, other]), (one, [one]), ((), [])):
            heard.clear()
            with pytest.raises(ArchsearchError, match="told"):
                call("small", callbacks=given, storage=study.storage)  # type: ignore[arg-type]
            assert heard == told


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tensorboard:logs", "'tensorboard:logs'"),
        (archsearch.RunCallbacks, "<class '"),
        ([archsearch.RunCallbacks(), archsearch.RunCallbacks], "<class '"),
        (print, "<built-in function print>"),
    ],
    ids=["name", "class", "class in a list", "function"],
)
def test_who_is_no_callback_is_refused_before_anything_is_planned(given: Any, said: str) -> None:
    for call in (archsearch.ablate, archsearch.confirm, archsearch.trust, archsearch.run):
        with pytest.raises(ConfigError, match=f"^callbacks: {re.escape(said)}.* is no object of archsearch.RunC"):
            call("absent", callbacks=given, storage="sqlite:///nothing-here.db")


def test_a_network_of_an_opened_study_that_was_retrained_is_stored_with_the_study(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = study.choose(3)
    for made in ("_draw_curve", "save_model_folder"):
        monkeypatch.setattr(f"archsearch.api.retrain.{made}", lambda *_, **__: tmp_path / "curve.png")
    trained = RetrainedSeed(
        score=make_score(61.0, split="test"), weights=tmp_path / "training" / "seed-0" / "weights.safetensors",
        batch_size=64, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2),
    )  # fmt: skip
    facts: Any = None  # of the model's files, which stay out of this
    _keep(study, chosen, tmp_path, facts, [trained], ALONE, ())
    ((arch_id, score),) = archsearch.open_study("small", storage=study.storage).trainings
    assert (arch_id, score.top1_percent) == (chosen.spec.arch_id, 61.0)


def test_a_network_that_another_study_gave_is_not_retrained_as_a_trial_of_this_one(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    for name in ("small", "later"):
        store_study(other, [make_record(trial, arch_id=f"f{trial:011x}") for trial in range(4)], name=name)
    for called in ("small", "later", None):  # without a name: the one worked on last
        with pytest.raises(ConfigError, match=r"^trial 3 \(\w+\) of study 'small' is no network of study '\w+'"):
            archsearch.retrain(called, trial=study.choose(3), storage=other)

    def loaded(*_: Any, **__: Any) -> None:
        raise ArchsearchError("loaded")

    monkeypatch.setattr("archsearch.api.retrain.load_dataset", loaded)
    again = archsearch.open_study("small", storage=study.storage)
    for chosen in (study.choose(3), study.choose("shufflenet_v2_x2_0"), *study.choose_all("front")):
        with pytest.raises(ArchsearchError, match="loaded"):
            archsearch.retrain(again, trial=chosen)


def test_a_stored_study_is_asked_by_the_words_that_there_are(study: archsearch.Study, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"choices": ["stem.type", "head.type"]}  # as ablate takes them
    said = re.escape("grid: choices is a text, got ['stem.type', 'head.type']")
    with pytest.raises(ConfigError, match=said):
        study.analysis("grid", **asked)
    with pytest.raises(ConfigError, match=said):
        archsearch.plot("grid", study, out=tmp_path / "grid.json", options=asked)
    purpose: Any = "ablate"  # as the command is called
    with pytest.raises(UnknownNameError, match="unknown purpose of a design 'ablate'") as caught:
        study.designs(purpose)
    assert caught.value.near == "ablation" and study.designs("ablation") == ()


def test_no_images_are_read_for_a_network_that_another_command_trains(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the images were read")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archsearch.api.retrain.load_dataset", read)
    network = study.choose(3)
    with pytest.raises(AssertionError, match="the images were read"):
        archsearch.retrain(study, trial=network, device="cpu")
    with (
        locked(tmp_path / "runs" / "small" / "retrain" / f".{network.spec.arch_id}.lock"),
        pytest.raises(TrainingBusyError, match="another command trains the network"),
    ):
        archsearch.retrain(study, trial=network, device="cpu")


def test_nothing_is_trained_for_a_database_that_cannot_keep_the_score(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("it was trained")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archsearch.api.retrain.load_dataset", lambda *_, **__: SimpleNamespace(fingerprint=""))
    monkeypatch.setattr(stored_rows.StudyInfo, "check_images", lambda *_: None)
    monkeypatch.setattr("archsearch.api.retrain.retrain_seed", trained)
    with pytest.raises(AssertionError, match="it was trained"):
        archsearch.retrain(study, trial=3, device="cpu")
    monkeypatch.setattr("archsearch.store.database._cannot_change", lambda _file: True)  # a snapshot, or another user's
    with pytest.raises(StoreError, match="cannot be written: nothing may be written into its folder"):
        archsearch.retrain(study, trial=3, device="cpu")


@pytest.mark.parametrize(
    ("port", "said"),
    [(70000, "must be [01] to 65535"), (-1, "must be [01] to 65535"), ("80", "must be a whole number")],
)
def test_what_is_no_port_is_refused(port: Any, said: str, study: archsearch.Study) -> None:
    for call in (
        lambda: archsearch.dashboard(study, port=port),
        lambda: archsearch.serve_storage(str(study.storage), port=port),
    ):
        with pytest.raises(ConfigError, match=f"^port '?{port}'?: {said}$"):
            call()


def test_a_storage_server_of_sqlite_is_refused_before_a_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PostgreSQL only"):
        archsearch.serve_storage(f"sqlite:///{tmp_path}/new/studies.db")
    assert list(tmp_path.iterdir()) == []


def test_a_result_prints_as_the_table_that_the_terminal_shows(study: archsearch.Study) -> None:
    text = str(study.analysis("front"))
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) <= 100
    assert "StudyFront(" not in text
    for row in study.front.members:
        assert f"{row.record.score.top1_percent:.2f}" in text  # type: ignore[union-attr]


def test_a_network_a_front_and_trials_print_as_lines_and_not_as_all_their_fields(study: archsearch.Study) -> None:
    assert str(study.best) == str(study.front.members[0])
    assert "top-1 50.00 % (validation), latency 5.000 ms, 1,000,000 parameters" in str(study.best)
    assert len(str(study.best).splitlines()) == 1
    for shown in (study.front, study.records, study.front.members[0], *study.verdicts):
        assert max(map(len, str(shown).splitlines())) <= 120
        assert "Record(" not in str(shown)


def test_a_study_writes_its_report_and_gives_its_trials(
    study: archsearch.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert study.report(tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    pytest.importorskip("pandas")
    assert list(study.trials["trial"]) == [0, 1, 2, 3]


@pytest.mark.parametrize("place", ["runs/archsearch.db", "elsewhere.db"])
def test_the_commands_of_a_report_name_the_database_where_it_is_not_the_default(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store_study(f"sqlite:///{place}", [make_record(trial) for trial in range(4)])
    opened = archsearch.open_study("small", storage=f"sqlite:///{place}")
    page = opened.report("page.html").read_text(encoding="utf-8")
    named = "" if place == "runs/archsearch.db" else f" --storage sqlite:///{place}"
    assert f"archsearch retrain --study small{named} --trial " in page


@pytest.mark.parametrize(
    ("begun", "typed"),
    [
        ("archsearch run --study photos.yaml --trials 6 --set 'restrict.width=[0.5]'",
         "archsearch run --study photos.yaml --set 'restrict.width=[0.5]' --storage URL --trials N"),
        ("archsearch run --study photos.yaml --storage sqlite:///a.db --trials=6",
         "archsearch run --study photos.yaml --storage URL --trials N"),
        ("archsearch run --storage 'sqlite:///an old.db' --set trials=6 --set proxy.epochs=3 --study photos.yaml",
         "archsearch run --set proxy.epochs=3 --study photos.yaml --storage URL --trials N"),
        (None, "archsearch run --study small --storage URL --trials N"),
    ],
)  # fmt: skip
def test_more_networks_of_ones_own_study_are_had_by_the_command_that_began_it_in_the_database_where_it_is(
    begun: str | None, typed: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    store_study(url, [])
    database = Database(url)
    with database.writing() as session:
        (row,) = session.query(StudyRow)
        row.facts = {**row.facts, "command": begun}
    database.close()
    opened = archsearch.open_study("small", storage=url)
    assert opened.made_by == typed.replace("URL", url)


def test_a_study_from_before_the_memory_witness_that_goes_on_names_what_was_measured_beside_crowded_memory(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    # quiet: the lower quartile, 1.0 ms; more than 10 % above that is crowded
    taken_ms = (None, 1.0, 1.05, 1.0, 1.0, 1.2)
    store_study(url, [make_record(trial, memory_ms=each) for trial, each in enumerate(taken_ms)])
    study = archsearch.open_study("small", storage=url)
    assert "memory_tolerance" not in study.info.config["latency"]
    assert [record.trial for record in study.canary.crowded] == [5]
