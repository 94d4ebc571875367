"""The section on methods: everything that somebody needs who wants the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archsearch.analysis.conditions import batch_sentence
from archsearch.analysis.objectives import OBJECTIVES, floor_basis, floor_text
from archsearch.report.data import ReportData
from archsearch.report.sections import Section

_PROXY = ("epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "label_smoothing", "warmup_fraction")
_LATENCY = ("bursts", "visits", "runs_per_burst", "spread_seconds", "untimed_runs", "tolerance", "budget_seconds")


def methods_section(data: ReportData) -> Section:
    """Data, proxy, latency protocol, device, versions, seeds, search, and the commands."""
    return Section(
        key="methods",
        title="Methods",
        sentences=(
            "Accuracy is the validation top-1 of a short training; latency is the 10th percentile over bursts that are "
            "interleaved with a reference network, times what the reference took at the study's start. A front is the "
            "set of networks that none beats in one objective without losing in another.",
        ),
        facts=tuple((name, value) for name, value in _facts(data) if value),
    )


def _facts(data: ReportData) -> Iterator[tuple[str, str]]:
    config, facts = data.config, data.facts
    conditions = data.front.conditions
    yield "Study", f"{data.study}, begun {facts['started']}" if "started" in facts else data.study
    if data.design is not None:
        yield "Design", f"{data.design.purpose} of study {data.design.of}, {len(data.design.points)} networks"
    yield "Search space", _joined(str(config.get("space", "")), f"fingerprint {data.space_fingerprint}")
    yield "Fixed choices", _pairs({**(config.get("scale") or {}), **(config.get("fixed") or {})})
    yield (
        "Dataset",
        _joined(
            str(config.get("dataset", "")),
            f"fingerprint {facts['data_fingerprint']}" if "data_fingerprint" in facts else "",
            f"{facts['num_classes']} classes" if "num_classes" in facts else "",
            f"{facts['input_size']} x {facts['input_size']} pixels" if "input_size" in facts else "",
        ),
    )
    yield (
        "Images",
        _joined(
            *(f"{count:,} trained on" for count in conditions.train_images[:3]),
            f"{(config.get('proxy') or {}).get('validation_images'):,} validated on"
            if (config.get("proxy") or {}).get("validation_images")
            else "",
        ),
    )
    yield "Proxy", _pairs(_chosen(config.get("proxy") or {}, _PROXY))
    yield (
        "Seeds",
        _joined(
            f"study {config['seed']}" if "seed" in config else "",
            f"trainings {', '.join(map(str, data.design.seeds if data.design is not None else conditions.seed))}",
        ),
    )
    yield "Sampler", str(config.get("sampler", ""))
    yield "Early stopping", str((config.get("stopping") or {}).get("policy", "none"))
    yield "Objectives, lower is better", ", ".join(data.front.objectives)
    yield "Constraints", _pairs({key: value for key, value in (config.get("constraints") or {}).items() if value})
    if data.reference_point:
        shown = {
            name: OBJECTIVES[name].show(value) for name, value in data.reference_point.items() if name in OBJECTIVES
        }
        yield "Reference point", _pairs(shown)
    if data.front.hypervolume is not None:
        yield "Hypervolume", f"{data.front.hypervolume:.6g}"
    yield "Latency protocol", _pairs(_chosen(config.get("latency") or {}, _LATENCY))
    yield "Reference network", str(config.get("reference", ""))
    if data.front.noise_floor.ties:
        basis = floor_basis(data.front.noise_floor)
        yield "Noise floor of latency", floor_text(data.front.noise_floor) + (f" ({basis})" if basis else "")
    if data.front.latency_batch is not None:
        yield "Batch of latency", batch_sentence(data.front.latency_batch)
    yield "Device", _pairs(facts.get("device") or {})
    yield "Device fingerprint", str(facts.get("device_fingerprint", ""))
    yield (
        "Versions",
        _pairs({"archsearch": facts.get("archsearch"), "python": facts.get("python"), **(facts.get("versions") or {})}),
    )
    yield "Run with", str(facts.get("command", ""))


def _chosen(content: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: content[name] for name in names if content.get(name) is not None}


def _pairs(content: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{str(name).replace('_', ' ')} {_value(value)}" for name, value in content.items() if value is not None
    )


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
