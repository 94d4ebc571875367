from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from archsearch.analysis.means import Retraining
from archsearch.designs import Design, DesignPoint
from archsearch.models.variants import find_variant
from archsearch.records import Epoch, Record, StudyBatch, TrialStatus
from archsearch.report.documents import html_text, latex_text, markdown_text
from archsearch.report.study_sections import ReportData, report_of

Make = Callable[..., Record]
Data = Callable[..., ReportData]
Study = Callable[..., list[Record]]
MARKUP = "</script><script>broken=1</script><img src=x onerror=broken=1>\"'&<b>_$%\\|`"
SPEC = find_variant("shufflenet_v2_x0_5").spec.normalised(32)


def without_scripts(text: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)


def panel_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="networks">(.*?)</script>', text, flags=re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def rendered(data: ReportData) -> tuple[str, str, str]:
    report = report_of(data)
    return html_text(report), markdown_text(report), latex_text(report)


def test_the_page_answers_first_and_ends_with_the_methods(make_study: Study, make_data: Data) -> None:
    page, _, _ = rendered(make_data(make_study()))
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles[:2] == ["The answer", "The front"]
    assert titles[-1] == "Methods"
    for part in ("most accurate", "archsearch retrain --study study --trial", "archsearch confirm --study study"):
        assert part in page
    assert "<code>archsearch report</code>" in page
    for link in re.findall(r'href="#(.*?)"', page):
        assert page.count(f'id="{link}"') == 1


def test_the_page_loads_nothing_and_holds_plotly_once(make_study: Study, make_data: Data) -> None:
    page, _, _ = rendered(make_data(make_study()))
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)""", without_scripts(page))
    assert "<script src" not in page
    assert "default-src 'none'" in page
    assert page.count("plotly.js v") == 1


def test_every_figure_has_a_heading_and_a_label_and_every_table_a_caption(make_study: Study, make_data: Data) -> None:
    page, _, _ = rendered(make_data(make_study()))
    shown = without_scripts(page)
    figures = re.findall(r"<figure.*?</figure>", shown, flags=re.DOTALL)
    assert len(figures) >= 4
    for number, figure in enumerate(figures):
        assert number == 0 or re.search(r"<h[34] class=\"drawn\">\w", figure)  # the first stands beside the answer
        assert re.search(r'role="img" aria-label="\w[^"]{20,}"', figure)
        assert re.search(r"<figcaption>\w", figure)
    tables = re.findall(r"<table.*?<thead>", shown, flags=re.DOTALL)
    assert tables and all(re.search(r"<caption>\w", table) for table in tables)


def test_the_two_questions_are_answered_beside_the_front_before_anything_else(
    make_study: Study, make_data: Data
) -> None:
    page, markdown, _ = rendered(make_data(make_study()))
    first = without_scripts(page).split('<div class="cards">')[0]
    assert "<h3>Which network to take</h3>" in first
    assert "<h3>Which design choices are worth their cost</h3>" in first
    assert 'id="plot-glance"' in first
    assert "### Which design choices are worth their cost" in markdown


LOST: dict[str, Any] = {"top1": None, "p10": None}
EMPTY: dict[str, Callable[[Make], list[Record]]] = {
    "no trials": lambda _: [],
    "all failed": lambda make: [make(n, **LOST, status=TrialStatus.FAILED, reason="it diverged") for n in range(3)],
    "all rejected": lambda make: [make(n, **LOST, status=TrialStatus.REJECTED, reason="too large") for n in range(3)],
    "only running": lambda make: [make(0, **LOST, status=TrialStatus.RUNNING, choices={})],
    "no latency": lambda make: [make(0, p10=None)],
}
FEW: dict[str, Callable[[Make], list[Record]]] = {
    "one": lambda make: [make(0)],
    "all equal": lambda make: [make(n) for n in range(10)],
    "not a number": lambda make: [make(0), make(1, top1=float("nan")), make(2, p10=float("inf"))],
    "an unknown family": lambda make: [replace(make(0), family="gone", choices={"a": 1})],
    "choices of another version": lambda make: [make(0, choices={"stage2.magic": 1})],
}


@pytest.mark.parametrize("case", EMPTY)
def test_without_a_complete_trial_the_report_says_so(case: str, make_record: Make, make_data: Data) -> None:
    page, markdown, latex = rendered(make_data(EMPTY[case](make_record)))
    assert panel_of(page)["networks"] == {}
    assert "There is no network to take" in without_scripts(page)
    assert "There is no network to take" in markdown
    assert "there is no table" in latex


@pytest.mark.parametrize("case", FEW)
def test_few_or_odd_records_make_a_report(case: str, make_record: Make, make_data: Data) -> None:
    page, markdown, latex = rendered(make_data(FEW[case](make_record)))
    assert len(panel_of(page)["networks"]) == (10 if case == "all equal" else 1)
    assert "--trial 0" in without_scripts(page)
    assert "**trial 0**" in markdown
    assert f"0 & {'0' * 12}" in latex
    assert not re.search(r"\bnan\b|\binf\b", without_scripts(page).lower())


def test_of_thousands_of_records_two_thousand_are_in_full(make_data: Data, make_study: Study) -> None:
    page, markdown, _ = rendered(make_data(make_study(2_500)))
    found = panel_of(page)
    assert len(found["networks"]) > 2_250
    in_full = [network for network in found["networks"].values() if "parts" in network]
    assert len(in_full) == 2_000
    assert all("parts" in network for network in found["networks"].values() if network["front"])
    assert len(markdown) < 200_000


def thousand(make_record: Make) -> list[Record]:
    """As a real study of a thousand: real choices, curves of eight epochs."""
    curve = tuple(
        Epoch(epoch=n, train_loss=2.3 / n, top1_percent=5.123 * n, learning_rate=0.0123, train_seconds=9.87)
        for n in range(1, 9)
    )
    names = ("none", "se", "eca", "cbam", "simam", "coordinate")
    records = []
    for trial in range(1000):
        choices = SPEC.with_choices(
            {
                "stage2.kernel": 3 + trial % 5,
                "stage3.kernel": 3 + trial // 5 % 5,
                "stage4.kernel": 3 + trial // 25 % 5,
                "stage2.attention": names[trial % 6],
                "stage4.attention": names[trial // 6 % 6],
            }
        ).choices()
        records.append(
            make_record(
                trial, top1=30 + trial % 97 / 4, p10=1 + trial % 89 / 10, choices=choices, curve=curve,
                variant=f"variant_{trial}" if trial < 15 else None,
            )
        )  # fmt: skip
    return records


def test_a_report_of_a_thousand_trials_stays_below_eight_megabytes(make_record: Make, make_data: Data) -> None:
    page, _, _ = rendered(make_data(thousand(make_record)))
    assert len(page.encode()) < 8_000_000


def test_the_panel_knows_cost_curve_parts_and_command_of_each_network(make_record: Make, make_data: Data) -> None:
    records = thousand(make_record)[:20]
    named = ("--study", "study", "--storage", "sqlite:///x.db")
    found = panel_of(rendered(make_data(records, named=named))[0])
    network = found["networks"]["16"]  # 16 % 5 = 1, 16 // 5 = 3; 16 % 6 = 4, 16 // 6 = 2
    assert found["retrain"] == "archsearch retrain --study study --storage sqlite:///x.db --trial "
    assert (network["label"], network["top1"], network["params"]) == ("trial 16", 34.0, 1_000_000)
    assert network["curve"][1] == [round(5.123 * n, 3) for n in range(1, 9)]
    named = {found["choices"][place]: value for place, value, _ in network["changes"]}
    assert named == {"kernel": "4 / 6 / 3", "attention": "simam / none / eca"}
    stage = dict(network["parts"])["stage2"]
    texts = [found["ops"][op][0] for unit in stage for branch in found["units"][unit][4] for op in branch]
    assert "dw 4×4" in texts
    assert found["baselines"] == {"shufflenet_v2": "variant_0"}


def test_a_study_of_which_no_command_is_known_was_run_with_none(make_study: Study, make_data: Data) -> None:
    _, typed, _ = rendered(make_data(make_study(), facts={"command": "archsearch run"}))
    _, called, _ = rendered(make_data(make_study(), facts={"command": None}))
    assert "Run with" in typed and "Run with" not in called


def test_no_name_becomes_markup(make_record: Make, make_data: Data) -> None:
    records = [
        replace(make_record(0, variant=MARKUP, choices=dict(SPEC.choices())), arch_id=MARKUP),
        make_record(1, top1=60.0, p10=9.0, variant=f"second {MARKUP}", reason=MARKUP, choices={MARKUP: MARKUP}),
        make_record(2, top1=None, p10=None, status=TrialStatus.FAILED, reason=MARKUP),
    ]
    trained = Retraining(
        label=MARKUP, arch_id=MARKUP, protocol=MARKUP, epochs=1, train_images=9, test_images=9, seeds=1,
        mean_top1_percent=50.0, std_top1_percent=None,
    )  # fmt: skip
    data = make_data(
        records,
        study=MARKUP,
        config={"dataset": MARKUP, "sampler": MARKUP, "constraints": {MARKUP: MARKUP}},
        facts={"command": MARKUP, "device": {MARKUP: MARKUP}},
        command=MARKUP,
        named=("--study", MARKUP, "--storage", MARKUP),
        retrainings=(trained,),
    )
    page, markdown, latex = rendered(data)
    scripts = re.findall(r"<script\b", page)
    assert len(scripts) == len(re.findall(r"</script>", page))
    shown = without_scripts(page)
    assert "broken=1</" not in shown
    assert "<img" not in shown
    assert "<script" not in shown
    for script in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, flags=re.DOTALL):
        json.loads(script)
        assert "<" not in script
    assert panel_of(page)["networks"]["0"]["label"] == MARKUP  # it is still the name
    text = re.sub(r"(?m)^ {4,}.*$", "", markdown)  # indented lines are code: nothing in them is markup
    assert not re.search(r"(?<!\\)[<`$&]", text)
    for table in re.findall(r"(?m)(?:^\|.*\n)+", text):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert r"\textless{}img" in latex
    assert "<img" not in latex.replace("% \\usepackage", "")


def test_latex_escapes_every_special_sign() -> None:
    from archsearch.table import latex_escaped as escaped

    assert escaped("a_b & 50% #1 $x$ {y} ~ ^ \\ <z>") == (
        r"a\_b \& 50\% \#1 \$x\$ \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} \textless{}z\textgreater{}"
    )
    assert escaped("two\nlines ± 3") == r"two lines $\pm$ 3"


def test_markdown_escapes_what_it_would_read_as_markup() -> None:
    from archsearch.table import markdown_escaped as escaped

    assert escaped("a_b *c* [d](e) <f> | `g` &lt;") == r"a\_b \*c\* \[d\](e) \<f\> \| \`g\` \&lt;"
    assert escaped("- no list") == r"\- no list"
    assert escaped("1. no list") == r"\1. no list"
    assert escaped("two\nlines") == "two lines"
    assert escaped("a_b: `archsearch confirm --top 3` *") == r"a\_b: `archsearch confirm --top 3` \*"


def test_a_command_in_a_sentence_is_code_on_the_page_and_all_else_is_text() -> None:
    from archsearch.table import html_sentence

    assert html_sentence("seeds (`archsearch confirm`) <b>") == "seeds (<code>archsearch confirm</code>) &lt;b&gt;"
    assert html_sentence("`archsearch <img>` `x`") == "<code>archsearch &lt;img&gt;</code> `x`"


def ablation_data(make_record: Make, make_data: Data) -> ReportData:
    """A base and two levels of a kernel, three seeds each: 5 is two points better in each, 7 is not told apart."""
    from archsearch.analysis.ablation import ablation_of

    def point(name: str, kernel: int) -> DesignPoint:
        return DesignPoint(
            name=name,
            family="shufflenet_v2",
            choices={"stage2.kernel": kernel},
            arch_id=f"{kernel:012x}",
            changes={} if name == "base" else {"kernel": kernel},
            trial=4,
        )

    design = Design(
        purpose="ablation",
        of="study",
        points=(point("base", 3), point("kernel=5", 5), point("kernel=7", 7)),
        seeds=(0, 1, 2),
        mode="one-at-a-time",
    )
    top1 = {"base": (50.0, 51.0, 52.0), "kernel=5": (52.0, 53.1, 53.9), "kernel=7": (49.0, 53.0, 52.0)}
    records = [
        replace(
            make_record(3 * place + seed, top1=top1[each.name][seed], p10=5.0 + place, arch_id=each.arch_id, seed=seed),
            point=each.name,
        )
        for place, each in enumerate(design.points)
        for seed in design.seeds
    ]
    return make_data([make_record(4)], ablations=(ablation_of(records, design),))


def test_an_ablation_has_its_table_its_sentences_and_its_intervals(make_record: Make, make_data: Data) -> None:
    data = ablation_data(make_record, make_data)
    found = data.ablations[0]
    page, markdown, latex = rendered(data)
    assert "<h3>Ablation of trial 4: study study</h3>" in page
    for answer in found.sentences:
        assert answer in re.sub(r"&#x27;", "'", page)
    row = next(row for row in found.rows if row.point.name == "kernel=5")
    assert row.top1.estimate == pytest.approx(2.0)
    assert f"({row.top1.low:+,.2f} to " in page
    assert "### Ablation of trial 4" in markdown
    assert r"\label{tab:ablation-1.1}" in latex
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == 3


def test_without_an_ablation_the_report_says_how_to_make_one(make_record: Make, make_data: Data) -> None:
    page, markdown, _ = rendered(make_data([make_record(0)]))
    assert "archsearch ablate --study study" in page
    assert "archsearch ablate --study study" in markdown


def test_the_time_of_a_short_study_is_not_rounded_to_nothing(make_record: Make, make_data: Data) -> None:
    page, _, _ = rendered(make_data([make_record(trial) for trial in range(4)]))
    assert "Wall time of all trials together: 2 min 40 s." in page  # 4 trials of 40 s


def test_networks_trained_in_full_are_in_the_report(make_record: Make, make_data: Data) -> None:
    trained = Retraining(
        label="trial 0", arch_id="0" * 12, protocol="modern", epochs=100, train_images=50_000, test_images=10_000,
        seeds=3, mean_top1_percent=91.5, std_top1_percent=0.25,
    )  # fmt: skip
    page, markdown, _ = rendered(make_data([make_record(0)], retrainings=(trained,)))
    assert ">91.50 ± 0.25<" in page
    assert "| trial 0 | modern | 100 | 3 | 91.50 ± 0.25 | 50,000 |" in markdown


@pytest.mark.parametrize(
    ("ratio", "sentence"), [(1.7, "The study chose a batch of 64"), (1.2, "floor of kernel launches")]
)
def test_the_report_says_in_which_batch_latencies_were_taken_and_what_it_tells_apart(
    make_study: Study, make_data: Data, ratio: float, sentence: str
) -> None:
    found = StudyBatch(batch=64, chosen=True, wide="x1.0", narrow="x0.5", ratios=((8, 1.0), (64, ratio)))
    html, markdown, _ = rendered(make_data(make_study(), latency_batch=found))
    assert sentence in html
    for page in (html, markdown):
        assert f"x1.0 takes {ratio:.2f} times as long as x0.5" in page


def test_the_methods_say_on_how_many_images_it_was_validated_and_not_how_many_there_might_have_been(
    make_record: Make, make_data: Data
) -> None:
    # validation_images is 2,000, and the dataset has 165 to validate on
    _, markdown, _ = rendered(make_data([make_record(0, eval_images=165)]))
    assert "* Images: 10,000 trained on, 165 validated on" in markdown


def test_the_methods_say_how_the_loss_weighs_classes_how_images_are_varied_and_in_which_precision(
    make_record: Make, make_data: Data
) -> None:
    proxy = {
        "epochs": 8, "class_weights": "balanced", "crop_padding": 0, "flip": False, "fresh_images": False,
        "precision": "auto",
    }  # fmt: skip
    _, markdown, _ = rendered(make_data([make_record(0)], config={"proxy": proxy}, facts={"proxy_precision": "bf16"}))
    said = "epochs 8, class weights balanced, crop padding 0, flip false, fresh images false, precision bf16"
    assert f"* Proxy: {said}" in markdown


def test_the_methods_name_the_search_space_and_all_that_it_fixes(make_record: Make, make_data: Data) -> None:
    # of a study file's `fixed`, of a `restrict` to one value, and of its scale, as the study's space is stored
    space = {"name": "mine", "fixed": {"stem.pool": False, "width": 0.5, "head.type": "gap_hidden"}}
    _, markdown, _ = rendered(make_data([make_record(0)], space=space))
    assert "* Search space: mine, fingerprint 0123456789ab" in markdown
    assert r"* Fixed choices: stem.pool false, width 0.5, head.type gap\_hidden" in markdown


def test_the_panel_says_of_how_many_seeds_a_designs_network_has_the_means(make_record: Make, make_data: Data) -> None:
    point = DesignPoint(name="fast", family="shufflenet_v2", choices={}, arch_id="a" * 12)
    design = Design(purpose="confirm", of="study", points=(point,), seeds=(20, 21))
    records = [replace(make_record(n, arch_id="a" * 12, seed=20 + n), point="fast") for n in range(2)]
    page, _, _ = rendered(make_data(records, design=design))
    assert panel_of(page)["networks"]["0"]["mean"] == "means of 2 seeds"
    page, _, _ = rendered(make_data([make_record(0, seed=20)]))
    network = panel_of(page)["networks"]["0"]
    assert (network["seed"], "mean" in network) == (20, False)
