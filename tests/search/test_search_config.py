"""A study as a person writes it: every shipped one loads, and every mistake is named with file and key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch.errors import ConfigError, OverrideError
from archsearch.resources import list_yaml
from archsearch.search.config import load_study


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_one(text: str, name: str = "mine.yaml") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write_one


GOOD = "space: shufflenet_v2\ndataset: digits\n"


@pytest.mark.parametrize("name", sorted(list_yaml("studies")))
def test_every_shipped_study_loads_with_its_search_space(name: str) -> None:
    config = load_study(name)
    assert config.name == name
    assert config.description
    assert config.search_space().size > 1000


def test_the_name_of_a_study_is_the_files_unless_it_says_so(write: Any) -> None:
    assert load_study(write(GOOD)).name == "mine"
    assert load_study(write(GOOD + "name: other\n")).name == "other"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("trails: 3\n", r"mine\.yaml: unknown key 'trails'", "did you mean 'trials'?"),
        ("'a[b]': 3\n", r"mine\.yaml: unknown key 'a\[b\]'", "known keys: "),
        ("proxy: {epoch: 3}\n", r"mine\.yaml: unknown key 'proxy\.epoch'", "did you mean 'proxy.epochs'?"),
        ("latency: {zzz: 3}\n", r"unknown key 'latency\.zzz'", "known keys: also, also_targets, backend"),
        ("1: 2\n", r"mine\.yaml: 1: must be text, got 1$", None),
        ("trials: many\n", r"mine\.yaml: trials: must be a whole number, got 'many'", None),
        ("trials: 0\n", "trials: must be at least 1, got 0", None),
        ("workers: 1.5\n", "workers: .*got 1.5", None),
        ("proxy: {learning_rate: fast}\n", r"proxy\.learning_rate: .*number.*got 'fast'", None),
        ("proxy: {learning_rate: 0}\n", r"proxy\.learning_rate: must be above 0, got 0", None),
        ("constraints: {latency_ms: -1}\n", r"constraints\.latency_ms: must be above 0, got -1", None),
        ("name: a/b\n", "name: must be letters, digits", None),
        ("objectives: [latency_ms, error_percent]\n", "objectives: must be error_percent, latency_ms", None),
        ("objectives: [error_percent]\n", "objectives: must be", None),
        ("objectives: [error_percent, latency_ms, params, macs]\n", "objectives: must be", None),
        ("variants: some\n", "variants", None),
        ("trials: x\nworkers: y\n", "trials", "and 1 more wrong key"),
        ("seed: 2147483648\n", "seed: must be below 2,147,483,648", None),
        ("stopping: {policy: median}\n", r"stopping\.policy: .*got 'median'", None),
        ("stopping: {first: 3}\n", r"unknown key 'stopping\.first'", None),
        ("repeats: thrice\n", "repeats: .*got 'thrice'", None),
    ],
)
def test_a_wrong_key_is_named_with_its_file(write: Any, text: str, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_study(write(GOOD + text))
    if hint is not None:
        assert caught.value.hint is not None and hint in caught.value.hint


def test_a_missing_key_is_named(write: Any) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml: the key 'dataset' is missing"):
        load_study(write("space: shufflenet_v2\n"))


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("proxy.epochs=3", lambda config: config.proxy.epochs == 3),
        ("proxy.weight_decay=5e-4", lambda config: config.proxy.weight_decay == 0.0005),
        (" trials = 7 ", lambda config: config.trials == 7),
        ("fixed.stem.type=ldc", lambda config: config.fixed == {"stem.type": "ldc"}),
        ("restrict.stem.kernel=[3, 6]", lambda config: config.restrict == {"stem.kernel": [3, 6]}),
        ("scale.stem.stride=1", lambda config: config.scale == {"stem.stride": 1}),
        ("constraints.latency_ms=2.5", lambda config: config.constraints.latency_ms == 2.5),
        ("workers=null", lambda config: config.workers is None),
        ("variants=[shufflenet_v2_x1_0]", lambda config: config.variants == ("shufflenet_v2_x1_0",)),
        ("name=other", lambda config: config.name == "other"),
        ("dataset=npz:/a=b", lambda config: config.dataset == "npz:/a=b"),
        ("reference_point={latency_ms: 4}", lambda config: config.reference_point["latency_ms"] == 4),
    ],
)
def test_an_override_takes_the_place_of_a_key(write: Any, override: str, found: Any) -> None:
    assert found(load_study(write(GOOD), [override]))


def test_an_override_leaves_the_keys_beside_it(write: Any) -> None:
    config = load_study(write(GOOD + "proxy: {epochs: 2, batch_size: 64}\n"), ["proxy.epochs=5", "proxy.epochs=6"])
    assert (config.proxy.epochs, config.proxy.batch_size) == (6, 64)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("proxy.epochs", "expected key=value"),
        ("=3", "expected key=value"),
        ("trials.more=3", "'trials' has no keys below it|trials"),
        ("dataset.name=3", "'dataset' has no keys below it"),
        ("restrict.kernel=[1, 2", "not valid YAML"),
        ("proxy.flip=no", r"^override 'proxy\.flip': must be true or false, got 'no'"),
        ("seed=true", r"^override 'seed': must be a whole number, got True"),
        ("workers=true", r"^override 'workers': must be a whole number, got True"),
        ("constraints.params=true", r"^override 'constraints\.params': must be a whole number, got True"),
        ("latency.bursts=true", r"^override 'latency\.bursts': must be a whole number, got True"),
        ("latency.spread_seconds=true", r"^override 'latency\.spread_seconds': must be a number, got True"),
        ("constraints.latency_ms=true", r"^override 'constraints\.latency_ms': must be a number, got True"),
        ("reference_point={latency_ms: true}", r"^override 'reference_point\.latency_ms': must be a number, got True"),
        ("test_share=false", r"^override 'test_share': must be a number, got False"),
        ("latency.batch=true", r"^override 'latency\.batch': must be a whole number or 'auto', got True"),
        ("prox.epochs=3", r"^override 'prox': unknown key"),
        ("proxy.epoch=3", r"^override 'proxy\.epoch': unknown key"),
        ("proxy={epoch: 3}", r"^override 'proxy\.epoch': unknown key"),
        ("restrict.stage3.kernel=5", r"^override 'restrict\.stage3\.kernel': must be a list, got 5"),
    ],
)
def test_a_wrong_override_is_named(write: Any, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(write(GOOD), [override])


def test_a_wrong_key_of_the_file_is_the_files_whatever_is_overridden(write: Any) -> None:
    path = write(GOOD + "proxy: {epoch: 3}\n")
    with pytest.raises(ConfigError, match=rf"^{re.escape(path)}: unknown key 'proxy\.epoch'"):
        load_study(path, ["proxy.batch_size=64"])


def test_overrides_are_also_a_mapping_that_stays_as_it_was(write: Any) -> None:
    given = {"proxy": {"epochs": 2}, "proxy.batch_size": 64, "fixed.stem.type": "ldc"}
    config = load_study(write(GOOD), given)
    assert (config.proxy.epochs, config.proxy.batch_size, config.fixed) == (2, 64, {"stem.type": "ldc"})
    assert given == {"proxy": {"epochs": 2}, "proxy.batch_size": 64, "fixed.stem.type": "ldc"}


def test_an_override_below_a_single_value_names_the_key_that_has_none_below_it() -> None:
    with pytest.raises(OverrideError, match=r"^override 'proxy\.epochs\.more': 'proxy\.epochs' has no keys below it"):
        load_study("quickstart", ["proxy.epochs.more=3"])  # its proxy: {epochs: 4, ...}


def test_numbers_of_numpy_in_a_mapping_of_overrides_are_pythons_own_wherever_they_stand() -> None:
    widths = [np.float32(0.5), np.int64(1)]
    config = load_study(
        "quickstart",
        {
            "latency.tolerance": np.float32(0.25),
            "proxy": {"epochs": np.int64(2), "learning_rate": np.float32(0.5)},
            "restrict.width": widths,
            "constraints": {"latency_ms": np.float32(2.5)},
        },
    )
    assert (config.latency.tolerance, config.constraints.latency_ms) == (0.25, 2.5)
    assert (config.proxy.epochs, config.proxy.learning_rate) == (2, 0.5)
    assert next(domain.values for domain in config.search_space().domains if domain.name == "width") == (0.5, 1.0)
    assert [type(value) for value in widths] == [np.float32, np.int64]


def test_truth_values_and_arrays_of_numpy_in_a_mapping_of_overrides_are_pythons_own() -> None:
    changes = {
        "proxy.flip": np.bool_(True),
        "scale.stem.pool": np.bool_(False),
        "restrict.residual": [*np.array([True, False])],
        "restrict.stage2.kernel": np.array([3, 7]),
    }
    config = load_study("quickstart", changes)
    domains = {domain.name: domain.values for domain in config.search_space().domains}
    assert (config.proxy.flip, config.scale["stem.pool"]) == (True, False)
    assert (domains["residual"], domains["stage2.kernel"]) == ((True, False), (3, 7))


@pytest.mark.parametrize("override", ["scale.stem.pool=no", "fixed.residual=off", "restrict.residual=[yes, no]"])
def test_a_boolean_of_yaml_1_1_is_text_and_never_taken_for_true(override: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be '(no|off|yes)' \(allowed: true or false"):
        load_study("quickstart", [override]).search_space()


def test_a_wrong_value_of_an_override_is_refused_like_one_of_the_file(write: Any) -> None:
    with pytest.raises(ConfigError, match=r"override 'proxy\.epochs': .*got 'many'"):
        load_study(write(GOOD), ["proxy.epochs=many"])


def test_a_key_that_stands_twice_is_refused(write: Any) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml:3:1: not valid YAML: the key 'dataset' is there twice"):
        load_study(write(GOOD + "dataset: cifar10\n"))


def test_a_relative_space_is_looked_for_beside_the_study(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = "name: small\nfamily: shufflenet_v2\nchoices: {residual: {values: [true, false], source: test}}\n"
    write(space, "small.yaml")
    study = write("space: small.yaml\ndataset: digits\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_study(study).search_space().name == "small"


def test_a_space_whose_name_no_file_can_have_is_an_unknown_one(write: Any) -> None:
    with pytest.raises(ConfigError, match="unknown search space 'aaa"):
        load_study(write(GOOD), [f"space={'a' * 300}"]).search_space()


def test_scale_takes_strides_and_pooling_only(write: Any) -> None:
    assert load_study(write(GOOD + "scale: {stem.stride: 1, stem.pool: false}\n")).scale["stem.pool"] is False
    with pytest.raises(ConfigError, match=r"scale: 'stem.kernel' is no stride or pooling.*fixed"):
        load_study(write(GOOD + "scale: {stem.kernel: 3}\n"))


def test_scale_may_name_strides_of_another_familys_networks_where_the_study_lists_one(write: Any) -> None:
    text = GOOD + "scale: {stem.stride: 1, layer2.stride: 1}\n"
    listed = load_study(write(text + "variants: [auto, mobilenet_v3_small_mb0]\n"))
    assert dict(listed.search_space().fixed) == {"stem.stride": 1}
    at_once = load_study(write(GOOD + "scale: {stride: 1}\nvariants: [auto, mobilenet_v3_small_mb0]\n"))
    assert dict(at_once.search_space().fixed) == {}
    for others in ("auto", "none", "[auto, resnet20]"):
        with pytest.raises(ConfigError, match=r"unknown choice 'layer2.stride'"):
            load_study(write(text + f"variants: {others}\n")).search_space()


def test_restrict_and_fixed_and_scale_shape_the_space(write: Any) -> None:
    text = "restrict: {width: [0.5, 1.0]}\nfixed: {residual: true}\nscale: {stem.stride: 1}\n"
    space = load_study(write(GOOD + text)).search_space()
    domains = {domain.name: domain.values for domain in space.domains}
    assert domains["width"] == (0.5, 1.0)
    assert "residual" not in domains and "stem.stride" not in domains
    choices = space.spec({**space.sample(0), "stage3.removed": 0}).choices()
    assert (choices["stem.stride"], choices["stage3.residual"]) == (1, True)


def test_a_wrong_value_of_scale_is_named_as_scales() -> None:
    with pytest.raises(ConfigError, match=r"^study 'quickstart': scale\.stem\.stride: .* cannot be 3"):
        load_study("quickstart", ["scale.stem.stride=3"]).search_space()


def test_a_fixed_stride_never_parts_the_search_from_published_networks_at_another_scale() -> None:
    said = r"study 'cifar10': fixed\.stem\.stride: sets 'stem\.stride', which scale\.stem\.stride sets too"
    with pytest.raises(ConfigError, match=said):
        load_study("cifar10", ["fixed.stem.stride=2"]).search_space()  # its scale: {stem.stride: 1, stem.pool: false}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("scale: {stem.stride: 2}\nrestrict: {stem.stride: [1, 2]}\n", ("restrict.stem.stride", "scale.stem.stride")),
        ("fixed: {kernel: 3}\nrestrict: {stage2.kernel: [3, 5]}\n", ("restrict.stage2.kernel", "fixed.kernel")),
        ("restrict: {kernel: [3, 5], stage2.kernel: [3, 5]}\n", ("restrict.kernel", "restrict.stage2.kernel")),
    ],
)
def test_two_keys_of_a_study_that_set_one_choice_are_named_as_they_are_written(
    write: Any, text: str, keys: tuple[str, str]
) -> None:
    with pytest.raises(ConfigError) as found:
        load_study(write(GOOD + text)).search_space()
    assert found.value.hint == f"keep one of '{keys[0]}' and '{keys[1]}'"


def test_a_choice_that_the_family_does_not_know_is_refused_by_name(write: Any) -> None:
    with pytest.raises(ConfigError, match="residul"):
        load_study(write(GOOD + "fixed: {residul: true}\n")).search_space()


@pytest.mark.parametrize(
    "text",
    [
        "description: new\n",
        "trials: 5\n",
        "workers: 1\n",
        "sampler: tpe\n",
        "proxy: {chunk_steps: 3}\n",
        "repeats: reseed\n",
        "stopping: {policy: none, first_full: 3}\n",
        "stopping: {checkpoint_seconds: 60.0}\n",
    ],
)
def test_the_protocol_leaves_out_what_does_not_change_a_record(write: Any, text: str) -> None:
    assert load_study(write(GOOD + text)).protocol() == load_study(write(GOOD)).protocol()


@pytest.mark.parametrize(
    "text",
    [
        "seed: 1\n",
        "proxy: {epochs: 3}\n",
        "latency: {batch: 8}\n",
        "constraints: {params: 100}\n",
        "scale: {stem.stride: 1}\n",
        "variants: none\n",
        "reference: shufflenet_v2_x0_5\n",
        "objectives: [error_percent, latency_ms, params]\n",
        "stopping: {policy: predicted}\n",
        "stopping: {policy: mo_asha}\n",
    ],
)
def test_the_protocol_holds_what_makes_records_comparable(write: Any, text: str) -> None:
    assert load_study(write(GOOD + text)).protocol() != load_study(write(GOOD)).protocol()


def test_without_a_stopping_rule_the_protocol_is_as_it_was_before_there_were_any(write: Any) -> None:
    assert load_study(write(GOOD)).protocol().keys() == {
        "dataset", "seed", "objectives", "variants", "scale", "reference", "proxy", "latency", "constraints",
        "reference_point",
    }  # fmt: skip
    rule = load_study(write(GOOD + "stopping: {policy: predicted, checkpoint_seconds: 60.0}\n")).protocol()["stopping"]
    assert rule["policy"] == "predicted" and "checkpoint_seconds" not in rule
