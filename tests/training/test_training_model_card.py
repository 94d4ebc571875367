from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from makers import make_latency, make_score

from archsearch.api.export import Exported
from archsearch.api.retrain import Retrained, _draw_curve
from archsearch.errors import ArchsearchError
from archsearch.models.families import FAMILIES
from archsearch.records import Cost, Score
from archsearch.training.model_folder import ModelFacts, model_card
from archsearch.training.protocols import PROTOCOLS

LATENCY = make_latency(1.25, median_ms=1.5, p90_ms=2.0, ratio_to_reference=0.8, reference_p10_ms=1.5625)


def score(seed: int, top1: float) -> Score:
    return make_score(
        top1, epochs=30, seed=seed, split="test", train_images=50000, eval_images=10000, protocol="shufflenetv2-s"
    )


def facts(*tops: float) -> ModelFacts:
    return ModelFacts(
        name="shufflenet_v2_x1_0",
        spec=FAMILIES["shufflenet_v2"].base,
        classes=tuple(map(str, range(10))),
        input_size=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
        scores=tuple(score(seed, top1) for seed, top1 in enumerate(tops)),
        protocol=PROTOCOLS["shufflenetv2-s"],
        batch_size=128,
        dataset="cifar10",
        dataset_fingerprint="0123456789ab",
    )


def test_the_card_gives_mean_and_sample_deviation_over_seeds() -> None:
    # 90, 91, 92.5: mean 273.5 / 3 = 91.1667; squares 1.3611 + 0.0278 + 1.7778 = 3.1667, / 2 = 1.5833, root 1.2583.
    assert "**91.17% ± 1.26** (mean ± sample standard deviation over 3 seeds)" in model_card(facts(90.0, 91.0, 92.5))


def test_what_is_printed_has_accuracy_and_mean_recall_over_all_seeds() -> None:
    given = facts(90.0, 92.0)
    scores = tuple(
        replace(each, balanced_top1_percent=recall, majority_percent=30.0)
        for each, recall in zip(given.scores, (40.0, 43.0), strict=True)
    )
    printed = str(Retrained(folder=Path("model"), facts=replace(given, scores=scores), curve=Path("curve.html")))
    assert "test top-1 91.00 ± 1.41 %" in printed
    assert "mean recall 41.50 %; always the largest class 30.00 %, chance 10.00 %" in printed
    assert "mean recall" not in str(Retrained(folder=Path("model"), facts=given, curve=Path("curve.html")))


def test_a_notebook_shows_what_is_printed_and_not_the_epochs_of_every_seed() -> None:
    found = Retrained(folder=Path("model"), facts=facts(90.0, 92.0), curve=Path("curve.html"))
    assert repr(found) == str(found)
    assert Exported.__repr__ is Exported.__str__


def test_the_curve_of_an_earlier_training_does_not_stay_beside_that_of_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(_figure: object, path: Path, **_: object) -> None:
        path.write_bytes(b"a picture")

    def missing(*_: object, **__: object) -> None:
        raise ArchsearchError("png: no browser")

    for write, name in ((drawn, "curve.png"), (missing, "curve.html"), (drawn, "curve.png")):
        monkeypatch.setattr("archsearch.api.retrain.write_png", write)
        assert _draw_curve(tmp_path, facts(90.0)) == tmp_path / name
        assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_card_of_one_seed_has_no_deviation_and_says_so() -> None:
    card = model_card(facts(90.0))
    assert "±" not in card
    assert "from one seed, so no spread is known" in card
    assert "may be chance" in card


def test_the_card_says_how_it_was_trained_and_what_the_paper_leaves_open() -> None:
    card = model_card(facts(90.0, 91.0))
    assert "30 epochs, batch 128" in card
    assert "the protocol itself has 100 epochs" in card
    assert "doi 10.12677/iae.2023.114046" in card
    assert "50,000 training images, data fingerprint `0123456789ab`" in card
    for note in PROTOCOLS["shufflenetv2-s"].notes:
        assert note in card


def test_card_and_summary_say_how_much_images_of_each_class_counted() -> None:
    plain, balanced = facts(90.0), replace(facts(90.0), class_weights="balanced")
    said = "every class counts the same in the loss"
    assert (plain.summary()["class_weights"], said in model_card(plain)) == ("none", False)
    assert (balanced.summary()["class_weights"], said in model_card(balanced)) == ("balanced", True)


def test_the_card_says_where_the_weights_began_and_how_images_were_changed() -> None:
    plain = model_card(facts(90.0, 91.0))
    assert "- initial weights: random, drawn from each seed" in plain
    assert "random crop with 4 pixels of padding, mirror images where the dataset allows them" in plain
    assert "moving average" not in plain
    begun = replace(facts(90.0, 91.0), start="the proxy training of study 'night'", protocol=PROTOCOLS["modern"])
    card = model_card(begun)
    assert "- initial weights: the proxy training of study 'night'" in card
    assert "the seeds share these initial weights" in card
    assert "moving average of those of the training, over 1.0% of its steps" in card
    assert "weight decay 0.0005 (not on biases and normalisations)" in card
    assert "the seeds share" not in model_card(replace(begun, scores=begun.scores[:1]))
    squares = replace(begun, protocol=replace(PROTOCOLS["modern"], cutout=0.25, flip=False, crop_padding=0))
    assert "augmentation: a blank square of 8x8 pixels (cutout)" in model_card(squares)
    photos = model_card(replace(begun, protocol=PROTOCOLS["photos"]))
    assert (
        "random resized crop of 25% to 100% of the area, mirror images where the dataset allows them, bright" in photos
    )
    assert "brightness, contrast and saturation changed by up to 40%" in photos


def test_the_card_says_the_dropout_that_it_was_trained_with_whatever_the_networks_own() -> None:
    base = FAMILIES["mobilenet_v3_ldc"].base
    own = base.with_choices({"head.dropout": 0.5})
    # LDC: 0.25 on CIFAR, 0 on Caltech-256; the others leave what the network has
    for spec, protocol, dropout in (
        (base, "ldc-cifar", "0.25"),
        (own, "ldc-cifar", "0.25"),
        (own, "ldc-caltech", "0"),
        (own, "one-cycle", "0.5"),
    ):
        card = model_card(replace(facts(90.0), spec=spec, protocol=PROTOCOLS[protocol]))
        assert f"\n- dropout {dropout} before the last linear layer\n" in card
    assert "dropout" not in model_card(facts(90.0))


def test_the_card_lists_the_choices_that_differ_from_the_base() -> None:
    base = facts(90.0)
    assert "None differs" in model_card(base)
    card = model_card(replace(base, spec=base.spec.with_choices({"stage3.kernel": 5, "stem.pool": False})))
    assert "| `stage3.kernel` | 3 | 5 |" in card
    assert "| `stem.pool` | True | False |" in card
    assert "`stage2.kernel`" not in card


def test_the_card_gives_cost_and_latency_where_they_were_taken() -> None:
    bare = model_card(facts(90.0))
    assert "latency was not measured" in bare
    cost = Cost(params=1_263_854, macs=3_030_000, input_size=32, num_classes=10, unsupported_ops={"aten::sort": 2})
    card = model_card(replace(facts(90.0), cost=cost, latency=LATENCY))
    assert "1,263,854 parameters, 3,030,000 multiply-adds" in card
    assert "not counted: aten::sort (2)" in card
    assert "1.500 ms median, 1.250 to 2.000 ms (p10 to p90), 200 runs: cpu, torch, batch 1, 1 thread(s)" in card
    assert "0.800 times `shufflenet_v2_x0_5`" in card
    assert "converged" not in card
    assert "not converged" in model_card(replace(facts(90.0), latency=replace(LATENCY, converged=False)))


def test_the_card_shows_its_picture_and_where_the_network_was_found() -> None:
    card = model_card(replace(facts(90.0), study="night", trial=12), curve_image="curves.png")
    assert "![Learning curves](curves.png)" in card
    assert "trial 12 of the study `night`" in card
    assert "![" not in model_card(facts(90.0))


def test_the_card_of_a_published_network_that_the_study_has_no_trial_of_names_no_trial() -> None:
    card = model_card(replace(facts(90.0), study="night"))
    assert "Found as" not in card and "None of" not in card


def test_a_card_without_any_score_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        facts()
