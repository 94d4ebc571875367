"""The guideline experiments that were measured before on a device, read from their file: nothing is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archsearch.analysis.guideline_report import Experiment, GuidelinesReport, table_report
from archsearch.api.guideline_cache import GuidelineCache
from archsearch.api.guideline_rows import experiments
from archsearch.api.guidelines import FOLDER, QUICK, guideline_warnings
from archsearch.records import Latency

_Group = Mapping[str, Any]


def stored_guidelines(fingerprint: str, *, folder: Path = FOLDER) -> GuidelinesReport | None:
    """What `archsearch guidelines` found on the device of this fingerprint; None if it was not run to its end there.

    Of measurements under several settings those of a whole protocol come before a quick one's, then the newest. The
    sample of the search space is left out: what it holds needs the networks.

    Raises ConfigError if the file is there and is no such file.
    """
    if not fingerprint or not (folder / f"{fingerprint}.json").is_file():
        return None
    cache = GuidelineCache(folder, fingerprint, {})
    facts = cache.facts
    column = "gpu" if "gpu" in facts else "arm"
    wanted = experiments(column)
    of_settings: dict[str, list[_Group]] = {}
    for group in cache.groups():
        of_settings.setdefault(repr(sorted(group["conditions"]["settings"].items())), []).append(group)
    found = [complete for groups in of_settings.values() if (complete := _complete(groups, wanted)) is not None]
    if not found:
        return None
    chosen = max(found, key=lambda groups: (not _quick(groups[0]), max(str(group["measured_on"]) for group in groups)))
    settings = chosen[0]["conditions"]["settings"]
    latencies = iter([[Latency.from_dict(each) for each in group["latencies"]] for group in chosen])
    reports = [table_report(experiment, [next(latencies) for _ in experiment.columns]) for experiment in wanted]
    quick = _quick(chosen[0])
    return GuidelinesReport(
        device=str(facts.get("device", "")),
        device_name=str(facts.get("gpu") or facts.get("cpu") or "unknown device"),
        backend=str(settings["backend"]),
        batch=int(settings["batch"]),
        threads=int(settings["threads"]),
        precision=facts.get("precision", "fp32"),
        fingerprint=fingerprint,
        facts=facts,
        printed_column=column,
        quick=quick,
        measured=tuple(sorted({str(group["measured_on"]) for group in chosen})),
        tables=tuple(reports),
        sample=None,
        warnings=tuple(guideline_warnings(reports, None, quick=quick)),
    )


def _complete(groups: list[_Group], wanted: tuple[Experiment, ...]) -> list[_Group] | None:
    """The groups of every column in order; None if one is missing or was measured with other channels."""
    newest: dict[str, _Group] = {}
    for group in sorted(groups, key=lambda each: str(each["measured_on"])):
        newest[group["name"]] = group
    found = []
    for experiment in wanted:
        for column in experiment.columns:
            measured = newest.get(f"table {experiment.table}, {column.scale_text}")
            channels = {row.label: row.network.channels_text for row in column.rows}
            if measured is None or measured["conditions"].get("channels") != channels:
                return None
            found.append(measured)
    return found


def _quick(group: _Group) -> bool:
    settings = group["conditions"]["settings"]
    return all(settings.get(name) == value for name, value in QUICK.items())
