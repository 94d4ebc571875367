"""What a study decides once, when it is begun, and stores: its trainings' precision, and with `batch` its batch.

Importing this imports no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from archsearch.data.catalog import default_data_dir
from archsearch.errors import ConfigError
from archsearch.image_rules import RULES_DEFAULTS
from archsearch.latency.lease import DeviceLease
from archsearch.latency.settings import LOCAL, LatencySettings
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.records import precision_before
from archsearch.search.config import StudyConfig
from archsearch.store.studies import StudyInfo
from archsearch.training.settings import Precision, settled_precision, weights_by_name
from archsearch.version import __version__

logger = logging.getLogger(__name__)

_GONE = {"latency": ("noise_rounds",)}  # keys of older versions that changed no trial's numbers
WITHOUT_KEY: Mapping[str, Any] = {"stopping": {"policy": "none"}, "design": None, **RULES_DEFAULTS}


def decided_precision(
    config: StudyConfig,
    specs: Sequence[Spec],
    *,
    device: str,
    fingerprint: str,
    num_classes: int,
    input_size: int,
) -> Precision:
    """The precision of a study that is begun now: what it says, or on a CPU what trains these networks faster.

    `specs` are a few of the study's networks, `fingerprint` is the device's. Measured once for each device, versions of
    archsearch and torch, networks and sizes, and kept in the user's cache folder.
    """
    if config.proxy.precision != "auto":
        return config.proxy.precision
    from archsearch.training.calibration import Calibration, cached_calibration, calibrate  # torch
    from archsearch.training.precision import usual_precision

    if device != "cpu":
        return usual_precision(device)

    def measure() -> Calibration:
        logger.info("measuring which precision trains faster here")
        return calibrate(
            [partial(build, spec, num_classes=num_classes, input_size=input_size, seed=0) for spec in specs],
            num_classes=num_classes,
            input_size=input_size,
            batch_size=config.proxy.batch_size,
            chunk=DeviceLease.of_device(device).shared,
        )

    key: dict[str, str | int] = {
        "device": fingerprint,
        "archsearch": __version__,  # its steps get faster
        "torch": version("torch"),
        "networks": " ".join(spec.arch_id for spec in specs),
        "num_classes": num_classes,
        "input_size": input_size,
        "batch_size": config.proxy.batch_size,
    }
    try:
        folder = default_data_dir() / "calibration"
    except ConfigError:  # no home folder
        return measure().precision
    return cached_calibration(folder, key, measure).precision


def settled(config: StudyConfig, study: StudyInfo) -> StudyConfig:
    """The settings with the precision and initial weights of the study's trainings and the batch of its latencies.

    Where they leave one open, it is what the study has. A study that was begun before batches were chosen keeps the one
    that it had.
    """
    proxy, latency = config.proxy, config.latency
    if proxy.precision == "auto":
        precision = settled_precision(study.config, study.facts, device_of(study))
        proxy = proxy.model_copy(update={"precision": precision})
    if proxy.initial_weights == "auto":
        proxy = proxy.model_copy(update={"initial_weights": _initial_weights(study)})
    if latency.chooses_batch_on(device_of(study)):
        latency = latency.model_copy(update={"batch": _batch(latency, study)})
    return config.model_copy(update={"proxy": proxy, "latency": latency})


def protocol_as_settled(protocol: Mapping[str, Any], study: StudyInfo) -> dict[str, Any]:
    """A protocol as `StudyConfig.protocol` gives it, with what `settled` puts in its place in this study."""
    proxy, latency = dict(protocol["proxy"]), dict(protocol.get("latency", {}))
    if proxy.get("precision", "auto") == "auto":
        proxy["precision"] = settled_precision(study.config, study.facts, device_of(study))
    if proxy.get("initial_weights", "auto") == "auto":
        proxy["initial_weights"] = _initial_weights(study)
    said = LatencySettings.model_construct(batch=latency.get("batch"), target=latency.get("target", LOCAL))
    if said.chooses_batch_on(device_of(study)):
        latency["batch"] = _batch(said, study)
    return {**protocol, "proxy": proxy, "latency": latency}


def completed(study: StudyInfo) -> dict[str, Any]:
    """A stored protocol with every key of today's; one that it lacks has what was done before the key existed."""
    stored = study.config
    # what versions did that did not know a key, where that is not today's default
    before = {"latency": {"backend": "torch", "precision": precision_before(device_of(study))}}
    today = StudyConfig(name="any", space="any", dataset="any").protocol()
    completed = {**WITHOUT_KEY, **today, **stored}
    for section in ("proxy", "latency", "constraints"):
        known = {key: value for key, value in stored.get(section, {}).items() if key not in _GONE.get(section, ())}
        completed[section] = {**today[section], **before.get(section, {}), **known}
    return completed


def _initial_weights(study: StudyInfo) -> str:
    return "by_name" if weights_by_name(study.config.get("proxy", {})) else "in_order"


def _batch(settings: LatencySettings, study: StudyInfo) -> int:
    found = study.latency_batch
    return settings.batch_on(device_of(study)) if found is None else found.batch


def device_of(study: StudyInfo) -> str:
    """The kind of device that the study was begun on."""
    return str(study.facts.get("device", {}).get("device", "cpu")).partition(":")[0]
