"""`pareto`, `studies` and `describe` on a study that was run."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import pytest

# What a browser would fetch from elsewhere.
FETCHES = re.compile(
    r"""<(?:script|link|img|iframe|source|video|audio)\b[^>]*?\b(?:src|href)\s*=\s*["']?\s*(?:https?:)?//"""
    r"""|@import\s+(?:url\()?\s*["']?(?:https?:)?//""",
    re.IGNORECASE,
)


def test_the_search_for_fetches_finds_them() -> None:
    assert FETCHES.search('<script charset="utf-8" src="https://cdn.plot.ly/plotly.min.js"></script>')
    assert FETCHES.search('<link rel="stylesheet" href="//fonts.example/css">')
    assert not FETCHES.search('<a href="https://example.org">source</a><script>var a = "https://x"</script>')


def test_pareto_prints_the_front_conditions_and_verdicts_and_never_imports_torch(shared_finished: object) -> None:
    study = shared_finished.study()
    ended = shared_finished.type("pareto", "--verbose")
    assert ended.returncode == 0, ended.stderr
    for row in study.front.members:
        assert (row.record.variant or row.record.arch_id) in ended.stdout
        assert f"{row.record.latency.corrected_ms:.3f}" in ended.stdout
    for text in ("The front: ", "hypervolume", "Published networks", "validation split (40 images:", "batch 1"):
        assert text in ended.stdout
    assert not list(shared_finished.folder.glob("**/pareto.*"))


@pytest.mark.parametrize("arguments", [["pareto"], ["pareto", "--csv", "--json"], ["studies"]])
def test_looking_at_a_study_imports_neither_torch_nor_optuna(arguments: list[str], finished: object) -> None:
    import subprocess
    import sys

    code = (
        f"import sys; sys.argv = ['archsearch', *{arguments!r}]\n"
        "from archsearch.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "print('\\nMODULES', *[n for n in ('torch', 'torchvision', 'optuna', 'pandas') if n in sys.modules])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=finished.folder, capture_output=True, text=True, check=True, env=os.environ
    )
    assert ended.stdout.rsplit("MODULES", 1)[1].split() == []


def test_pareto_writes_one_self_contained_page_and_a_table_and_prints_json(finished: object) -> None:
    ended = finished.type("pareto", "--study", "tiny", "--plot", "--csv", "--json")
    assert ended.returncode == 0, ended.stderr
    study, folder = finished.study(), finished.folder / "runs" / "tiny"

    found = json.loads(ended.stdout)
    assert found["study"] == "tiny"
    assert [row["trial"] for row in found["front"]] == [row.record.trial for row in study.front.members]
    assert [row["variant"] for row in found["variants"]] == ["shufflenet_v2_x0_5"]
    assert found["hypervolume"] == study.front.hypervolume

    page = (folder / "pareto.html").read_text(encoding="utf-8")
    assert FETCHES.search(page) is None
    assert "shufflenet_v2_x0_5" in page
    for record in study.records:
        assert record.arch_id in page
    assert not (folder / "pareto.png").exists()

    with (folder / "pareto.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["latency_ms"]) for row in rows] == sorted(float(row["latency_ms"]) for row in rows)
    assert {int(row["trial"]) for row in rows} == {record.trial for record in study.records}
    by_trial = {record.trial: record for record in study.records}
    for row in rows:
        record = by_trial[int(row["trial"])]
        assert int(row["params"]) == record.cost.params
        assert float(row["top1_percent"]) == record.score.top1_percent
        assert row["choice.stage3.kernel"] == str(record.choices["stage3.kernel"])


def test_out_names_the_folder_of_the_files(finished: object, tmp_path: Path) -> None:
    ended = finished.type("pareto", "--csv", "--out", str(tmp_path / "results"))
    assert ended.returncode == 0, ended.stderr
    assert f"wrote {tmp_path / 'results' / 'pareto.csv'}" in ended.stdout
    assert (tmp_path / "results" / "pareto.csv").is_file()


def test_a_picture_without_a_browser_is_exit_code_1_and_says_what_to_install(
    finished: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER_PATH", "/absent/chrome")
    ended = finished.type_anew("pareto", "--png")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: --png: ")
    assert not (finished.folder / "runs" / "tiny" / "pareto.png").exists()


def test_studies_lists_progress_and_best_points(shared_finished: object) -> None:
    study = shared_finished.study()
    ended = shared_finished.type("studies", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    (stored,) = found["stored"]
    assert (stored["study"], stored["counts"]) == ("tiny", {"complete": 3})
    assert stored["front"] == len(study.front.members)
    best = max(record.score.top1_percent for record in study.records)
    assert stored["most_accurate"]["top1_percent"] == best
    assert {"quickstart", "cifar10", "cifar100"} <= set(found["shipped"])

    ended = shared_finished.type("studies")
    assert "tiny" in ended.stdout
    assert "3 complete" in ended.stdout
    assert f"{best:.2f}" in ended.stdout


def test_a_trial_is_described_at_the_studys_size_and_classes(shared_finished: object) -> None:
    record = shared_finished.study().records[1]
    ended = shared_finished.type("describe", "tiny:1", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["arch_id"] == record.arch_id
    cost = found["cost"]
    assert (cost["params"], cost["macs"]) == (record.cost.params, record.cost.macs)
    assert (cost["input_size"], cost["num_classes"]) == (32, 4)
    assert found["choices"] == dict(record.choices)


def test_a_study_without_a_complete_trial_says_so(new_workplace: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import archsearch
    from archsearch.store.database import Database
    from archsearch.store.studies import enter_study

    workplace = new_workplace()
    monkeypatch.chdir(workplace.folder)
    plan = archsearch.plan("./tiny.yaml", device="cpu")
    database = Database()  # as `run` leaves it when it is stopped before its first trial has ended
    enter_study(
        database,
        name="tiny",
        config=plan.config.protocol() | {"name": "tiny", "sampler": plan.config.sampler},
        space=plan.space.to_dict(),
        space_fingerprint=plan.space.fingerprint,
        facts=plan.facts,
    )
    database.close()
    looked = workplace.type("pareto", "--csv", "--json")
    assert looked.returncode == 0, looked.stderr
    assert json.loads(looked.stdout)["front"] == []
    drawn = workplace.type("pareto", "--plot")
    assert drawn.returncode == 1
    assert "archsearch run --study ./tiny.yaml" in drawn.stderr
    assert not (workplace.folder / "runs" / "tiny" / "pareto.html").exists()
    assert "no network to take yet: the study has no trials" in workplace.type("pareto").stdout
    trained = workplace.type("retrain", "--trial", "best")
    assert trained.returncode == 1
    assert "no network to take yet" in trained.stderr
    assert workplace.type("studies").returncode == 0
