"""Stored studies side by side: the networks that they share, and how alike they rank them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from archsearch.analysis.compared import Comparison, Side
from archsearch.analysis.comparison import compare_studies, sides_by_device
from archsearch.analysis.comparison_text import comparison_sentences, mover_sentence
from archsearch.api.study import Study, open_study
from archsearch.errors import ConfigError
from archsearch.files import write_atomically
from archsearch.table import csv_text

_HINT = "give two studies, or one whose networks were measured on several devices"


@dataclass(frozen=True, kw_only=True)
class StudyComparison:
    """A comparison, the studies that it is of, and what it says.

    Attributes:
        studies: as they were opened.
        comparison: of their sides: a study whose latencies have several device fingerprints has a side for each.
        sentences: of the comparison.
    """

    studies: tuple[Study, ...]
    comparison: Comparison
    sentences: tuple[str, ...]

    def _repr_html_(self) -> str:
        return self.comparison._repr_html_()


def compare(studies: Sequence[str | Study], *, storage: str | None = None) -> StudyComparison:
    """Compare stored studies, or the devices of one.

    Args:
        studies: names, YAML files or opened studies.
        storage: the database of those that are named.

    Raises ConfigError for a study given twice, or a single one of a single device; StoreError and UnknownNameError for
    names that are not stored.
    """
    opened = tuple(each if isinstance(each, Study) else open_study(each, storage=storage) for each in studies)
    names = [study.name for study in opened]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"study '{twice[0]}' is given twice", hint=_HINT)
    if not opened:
        raise ConfigError("no study to compare", hint=_HINT)
    sides = [side for study in opened for side in sides_by_device(_side(study))]
    if len(sides) < 2:
        raise ConfigError(f"study '{names[0]}' was measured on one device alone: nothing to compare with", hint=_HINT)
    found = compare_studies(sides)
    return StudyComparison(studies=opened, comparison=found, sentences=comparison_sentences(found))


def compare_json(found: StudyComparison) -> dict[str, Any]:
    """A comparison as plain data; every shared network with its values in the order of the sides."""
    comparison = found.comparison
    return {
        "studies": [study.name for study in found.studies],
        "sides": list(comparison.sides),
        "networks": list(comparison.networks),
        "reason": comparison.reason,
        "sentences": list(found.sentences),
        "differences": [asdict(each) for each in comparison.differences],
        "correlations": [asdict(each) for each in comparison.correlations],
        "movers": [asdict(each) | {"sentence": mover_sentence(each)} for each in comparison.movers],
        "shared": [asdict(each) for each in comparison.shared],
        "conditions": [asdict(each) for each in comparison.conditions],
    }


def shared_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row for each shared network, with a column for each value and side."""
    return [
        {"label": network.label, "arch_id": network.arch_id}
        | {
            f"{what} ({side})": value
            for what, values in (
                ("latency_ms", network.latency_ms),
                ("error_percent", network.error_percent),
                ("on_front", network.on_front),
                ("records", network.records),
            )
            for side, value in zip(comparison.sides, values, strict=True)
        }
        for network in comparison.shared
    ]


def write_table(comparison: Comparison, path: Path) -> Path:
    """Write the shared networks as CSV; returns its path."""
    write_atomically(path, csv_text(shared_rows(comparison)).encode())
    return path


def write_page(found: StudyComparison, path: Path, *, command: str | None = None) -> Path:
    """Write the comparison as one self-contained HTML page; returns its path."""
    from archsearch.plots.comparison import comparison_info, comparison_tables
    from archsearch.plots.comparison_figure import comparison_figure
    from archsearch.plots.page import write_page as write

    comparison = found.comparison
    info = comparison_info(comparison, study=found.studies[0].name)
    write(
        comparison_figure(info),
        path,
        title=f"Compared: {' against '.join(comparison.sides)}",
        subtitle=found.sentences,
        warnings=[
            f"{each.what} differs ({' against '.join(value or 'none' for value in each.values)}): {each.consequence}"
            for each in comparison.differences
        ],
        tables=comparison_tables(info),
        facts=[
            (f"networks in {side}", str(count))
            for side, count in zip(comparison.sides, comparison.networks, strict=True)
        ],
        command=command,
    )
    return path


def _side(study: Study) -> Side:
    config = study.info.config
    proxy = config.get("proxy", {})
    return Side(
        name=study.name,
        records=study.records,
        noise_floor=study.info.noise_floor,
        facts={
            "dataset": str(config["dataset"]),
            "data fingerprint": str(study.info.facts.get("data_fingerprint", "")),
            **{
                f"proxy.{name}": str(proxy[name])
                for name in ("batch_size", "learning_rate", "weight_decay", "label_smoothing")
                if name in proxy
            },
        },
    )
