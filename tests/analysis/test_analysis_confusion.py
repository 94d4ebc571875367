"""The confusion matrix of retrained networks; expected values from scikit-learn and by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sklearn import metrics

from archsearch.analysis.conditions import conditions_of, guessing_text
from archsearch.analysis.confusion import confusion_of, study_confusion
from archsearch.analysis.front import front_of
from archsearch.records import Record, Score, most_taken_for

TRUE = [0] * 6 + [1] * 3 + [2]
TAKEN = [0, 0, 0, 0, 1, 2, 1, 1, 0, 0]
MATRIX = ((4, 1, 1), (1, 2, 0), (1, 0, 0))
CLASSES = ("ok", "scratch", "dent")


def _score(**changes: object) -> Score:
    score = Score(
        top1_percent=60.0, epochs=3, seed=0, split="test", train_images=20, eval_images=10, protocol="one-cycle",
        train_seconds=1.0, images_per_second=60.0, device="cpu", balanced_top1_percent=44.0, majority_percent=60.0,
        confusion=MATRIX,
    )  # fmt: skip
    return replace(score, **changes)  # type: ignore[arg-type]


def test_recall_and_precision_are_those_of_scikit_learn() -> None:
    assert metrics.confusion_matrix(TRUE, TAKEN).tolist() == [list(row) for row in MATRIX]
    found = confusion_of([_score()], CLASSES, label="trial 3")
    assert found is not None
    recall = 100 * metrics.recall_score(TRUE, TAKEN, average=None)
    precision = 100 * metrics.precision_score(TRUE, TAKEN, average=None, zero_division=0)
    assert found.recall_percent == _score().class_recall_percent == pytest.approx(tuple(recall))
    assert found.precision_percent == pytest.approx(precision)
    classes = found.tables()[0].dicts()
    assert [row["most_taken_for"] for row in classes] == ["scratch", "ok", "ok"] and classes[0]["images"] == 6
    # of the six 'ok', one was taken for either other class: the first is named, everywhere
    assert [most_taken_for(row, label) for label, row in enumerate(MATRIX)] == [(1, 1), (0, 1), (0, 1)]
    assert most_taken_for((3, 0), 0) is None
    balanced = 100 * metrics.balanced_accuracy_score(TRUE, TAKEN)
    assert f"Top-1 60.00 %, mean recall over the classes {balanced:.2f} %" in found.sentences[0]
    assert "always the largest class 60.00 %, chance 33.33 %" in found.sentences[0]
    assert found.sentences[1].startswith("Recognised least: dent 0.0 %, most often taken for ok;")


def test_the_matrices_of_seeds_are_added_up() -> None:
    found = confusion_of([_score(), _score(seed=1)], CLASSES, label="x")
    assert found is not None and found.seeds == 2 and found.counts.sum() == 20
    assert "10 test images" in found.subtitle[0] and "2 seeds added up" in found.subtitle[0]


def test_scores_of_older_versions_have_no_matrix() -> None:
    assert confusion_of([_score(confusion=None)], CLASSES, label="x") is None
    assert study_confusion({}, [("a", _score(confusion=None))], CLASSES, study="s") is None


def test_a_study_shows_the_network_with_the_highest_mean_recall() -> None:
    trainings = [("flat", _score(top1_percent=95.0)), ("fair", _score(balanced_top1_percent=70.0))]
    found = study_confusion({}, trainings, CLASSES, study="s")
    assert found is not None and found.label == "fair"


def test_a_seed_that_was_trained_again_counts_once_and_other_images_are_another_matrix() -> None:
    trainings = [
        ("a", _score()),
        ("a", _score(balanced_top1_percent=45.0)),  # the same seed with another batch size
        ("a", _score(seed=1)),
        ("a", _score(seed=2, eval_images=20, balanced_top1_percent=10.0)),
    ]
    found = study_confusion({}, trainings, CLASSES, study="s")
    assert found is not None and (found.seeds, found.counts.sum()) == (2, 20)


def test_a_front_that_beats_no_constant_answer_says_so(make_record: Callable[..., Record]) -> None:
    def front(top1: float, majority: float | None) -> tuple[str, ...]:
        record = make_record(0, top1=top1)
        assert record.score is not None
        score = replace(record.score, majority_percent=majority, eval_images=1000)
        return front_of([replace(record, score=score)]).warnings

    assert any(
        "no network is shown to beat an answer that is always the largest class (95.0 %" in line
        for line in front(95.5, 95.0)
    )
    # two standard errors of 95 % of 1000 images are 1.38 points
    assert not any("no network is shown" in line for line in front(96.5, 95.0))
    assert not any("no network is shown" in line for line in front(20.0, None))


def test_the_majority_and_chance_are_said_once_they_are_known(make_record: Callable[..., Record]) -> None:
    record = make_record(0)
    assert record.score is not None
    assert guessing_text(conditions_of([record]), 10) == ""
    known = replace(record, score=replace(record.score, majority_percent=25.0))
    assert guessing_text(conditions_of([known]), 10) == "always the largest class 25.0 %, chance 10.0 %"
