from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from makers import make_front

from archsearch.analysis.ablation import ablation_of
from archsearch.analysis.confirmed import Confirmed, ConfirmedPoint
from archsearch.designs import Design, DesignPoint
from archsearch.noise import NO_FLOOR
from archsearch.records import Record
from archsearch.report.study_sections import ReportData, answer_sentences, choices_answer, picks_of

Make = Callable[..., Record]
Data = Callable[..., ReportData]


def test_the_recommended_network_comes_first_and_the_others_by_latency(make_record: Make, make_data: Data) -> None:
    # Scaled sums of (error, latency): 1.0, 0.6 + 0.125, 0.133 + 0.25, 1.0: the knee is trial 2.
    points = [(0, 45.0, 1.0), (1, 51.0, 2.0), (2, 58.0, 3.0), (3, 60.0, 9.0)]
    data = make_data([make_record(trial, top1=top1, p10=p10, eval_images=10**6) for trial, top1, p10 in points])
    picks = picks_of(data)
    assert [(pick.trial, pick.roles) for pick in picks] == [
        (2, ("recommended", "knee")),
        (1, ("fastest within reason",)),
        (3, ("most accurate",)),
    ]
    said = answer_sentences(data, picks)
    assert said[:-1] == data.front.recommendation.sentences
    assert "of a short training" in said[-1]


def test_without_a_complete_trial_the_answer_says_so(make_data: Data) -> None:
    data = make_data([])
    assert picks_of(data) == ()
    assert answer_sentences(data, ()) == data.front.recommendation.sentences


def test_the_cards_say_which_differences_are_too_little_to_tell(make_record: Make, make_data: Data) -> None:
    # 1.96 * sqrt(0.5 * 0.5 / 2500 + 0.52 * 0.48 / 2500) = 2.77 points
    near = [make_record(0, top1=50.0, p10=1.0, eval_images=2500), make_record(1, top1=52.0, p10=4.0, eval_images=2500)]
    data = make_data(near)
    assert picks_of(data)[0].why == (
        "Against the most accurate, trial 1: 2.00 points less accurate (too little to tell), 4.0 times as fast.",
    )


def test_a_card_says_that_latencies_within_the_noise_floor_are_too_close_to_tell(
    make_record: Make, make_data: Data
) -> None:
    # the objective params keeps both on the front, though 1.00 and 1.01 ms tie below a floor of 3 %
    records = [
        make_record(0, top1=50.0, p10=1.00, params=100_000, eval_images=10**6),
        make_record(1, top1=53.0, p10=1.01, params=900_000, eval_images=10**6),
    ]
    objectives = ("error_percent", "latency_ms", "params")
    front = make_front(records, objectives=objectives, reference_point=(90.0, 40.0, 1e6), noise_floor=0.03)
    (pick, _) = picks_of(replace(make_data(records), front=front))
    assert pick.why == (
        "Against the fastest within reason, trial 0: 3.00 points more accurate, 1.01 times the latency (too little to "
        "tell).",
    )


def test_a_card_compares_the_latencies_that_the_cards_show(make_record: Make, make_data: Data) -> None:
    data = make_data([make_record(0, top1=50.0, p10=1.0), make_record(1, top1=52.0, p10=4.0)])
    chosen = data.front.recommendation
    assert chosen.network is not None
    again = replace(chosen, network=replace(chosen.network, values=(50.0, 2.0), seeds=3))  # twice as slow as searched
    pick = picks_of(replace(data, front=replace(data.front, recommendation=again)))[0]
    assert dict(pick.measures)["Latency"] == "2.00 ms" and pick.why[0].endswith(", 2.0 times as fast.")


def test_a_card_has_the_published_network_that_it_beats(make_record: Make, make_data: Data) -> None:
    data = make_data([make_record(0, variant="old", top1=40.0, p10=8.0), make_record(1, top1=60.0, p10=2.0)])
    (pick,) = picks_of(data)
    assert pick.why == (f"{data.front.recommendation.published.sentence}.",)  # type: ignore[union-attr]
    assert pick.why[0].startswith("+20.0 points and 75 % faster than old")


def test_a_network_without_confirmation_says_so_and_how_to_get_one(make_record: Make, make_data: Data) -> None:
    named = ("--study", "study", "--storage", "sqlite:///my.db")
    pick = picks_of(make_data([make_record(7, seed=3)], named=named))[0]
    assert pick.certainty[0] == "One seed (3), 8 epochs, not confirmed."
    assert not pick.confirmed
    assert pick.confirm == "archsearch confirm --study study --storage sqlite:///my.db"
    assert pick.command == "archsearch retrain --study study --storage sqlite:///my.db --trial 7"


def test_all_images_right_are_no_accuracy_without_doubt(make_record: Make, make_data: Data) -> None:
    (pick,) = picks_of(make_data([make_record(0, top1=100.0, eval_images=20)]))
    assert not any("±" in text for text in pick.certainty)


def confirmation(record: Record, **changes: Any) -> Confirmed:
    point = DesignPoint(
        name=record.label, family=record.family, choices=record.choices, arch_id=record.arch_id, trial=record.trial
    )
    facts: dict[str, Any] = {
        "label": record.label,
        "trial": record.trial,
        "variant": record.variant,
        "arch_id": record.arch_id,
        "n": 5,
        "seeds": (0, 1, 2, 3, 4),
        "top1_percent": 51.0,
        "top1_low_percent": 49.5,
        "top1_high_percent": 52.0,
        "latency_ms": 5.1,
        "latency_low_ms": 5.0,
        "latency_high_ms": 5.2,
        "params": 1,
        "macs": 1,
        "values": (49.0, 5.1),
        "on_front": True,
        "probability_on_front": 0.83,
        "searched_top1_percent": None,
        "searched_latency_ms": None,
        "was_on_front": True,
        "sentence": "it stays.",
    }
    return Confirmed(
        design=Design(purpose="confirm", of="study", points=(point,), seeds=(0, 1, 2, 3, 4)),
        design_study="",
        knee=None,
        objectives=("error_percent", "latency_ms"),
        points=(ConfirmedPoint(**{**facts, **changes}),),
        confidence=0.95,
        noise_floor=NO_FLOOR,
        draws=1000,
        method="Means over seeds.",
        warnings=(),
    )


def with_confirmation(records: Sequence[Record], make_data: Data, **changes: Any) -> ReportData:
    data = make_data(records)
    return replace(data, results={"confirmed": confirmation(records[0], **changes)})


def test_a_confirmed_network_says_what_the_confirmation_says_of_it(make_record: Make, make_data: Data) -> None:
    pick = picks_of(with_confirmation([make_record(0)], make_data))[0]
    assert pick.confirmed
    assert pick.confirm is None
    assert pick.certainty == ("Confirmed: it stays.",)


def test_a_confirmation_without_a_trial_confirms_nothing(make_record: Make, make_data: Data) -> None:
    assert not picks_of(with_confirmation([make_record(0)], make_data, n=0))[0].confirmed


def test_without_an_ablation_the_choices_are_not_known_and_how_to_know_them_is_said(
    make_record: Make, make_data: Data
) -> None:
    found = choices_answer(make_data([make_record(0)]))
    assert found is not None
    assert found.sentences == ("Not known yet: no ablation has tested it.",)
    assert found.command == "archsearch ablate --study study --from best"


def test_an_ablation_answers_which_choices_are_worth_their_cost(make_record: Make, make_data: Data) -> None:
    base, changed = (
        DesignPoint(name=name, family="f", choices={}, arch_id=name, changes=changes, trial=0)
        for name, changes in (("base", {}), ("kernel=5", {"kernel": 5}))
    )
    design = Design(purpose="ablation", of="study", points=(base, changed), seeds=(0, 1), mode="one-at-a-time")
    # The changed network is slower by half in both seeds, all but equally; its accuracy goes up once and down once.
    measured = [
        ("base", 0, 50.0, 4.0),
        ("base", 1, 50.0, 4.0),
        ("kernel=5", 0, 60.0, 6.0),
        ("kernel=5", 1, 40.0, 6.001),
    ]
    records = [
        replace(make_record(number, top1=top1, p10=p10, seed=seed, arch_id=name), point=name)
        for number, (name, seed, top1, p10) in enumerate(measured)
    ]
    found = choices_answer(make_data([make_record(0)], ablations=(ablation_of(records, design),)))
    assert found is not None
    assert found.sentences == ("1 change of trial 0, each trained with 2 seeds beside it:",)
    assert found.points == (
        "Not worth it: costs latency, and no gain of accuracy can be told: "
        "kernel 5 (+0.00 points top-1, +50.0 % latency).",
    )
    assert found.command is None


def test_the_numbers_of_a_card_have_the_names_that_they_have_in_tables(make_record: Make, make_data: Data) -> None:
    (pick,) = picks_of(make_data([make_record(0, top1=58.0, p10=2.0)]))
    assert dict(pick.measures) == {"Top-1": "58.00 %", "Latency": "2.00 ms", "Params": "1.00 M", "MACs": "40.0 M"}
