from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from archsearch.errors import UnknownNameError
from archsearch.training.protocols import PROTOCOLS, proxy_protocol
from archsearch.training.schedules import OneCycle, WarmRestarts
from archsearch.training.settings import ProxySettings


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_complete_and_its_identity_survives_json(name: str) -> None:
    protocol = PROTOCOLS[name]
    assert protocol.name == name
    assert protocol.source
    assert protocol.epochs >= 1
    assert protocol.batch_size >= 2
    assert json.loads(json.dumps(protocol.identity())) == protocol.identity()
    steps = [protocol.schedule.rate(s, epochs=protocol.epochs, steps_per_epoch=3) for s in range(protocol.epochs * 3)]
    assert min(steps) >= 0
    assert max(steps) > 0


def test_shufflenetv2_s_states_what_the_paper_prints() -> None:
    # doi 10.12677/iae.2023.114046: SGD, momentum 0.9, weight decay 5e-4, 100 epochs.
    protocol = PROTOCOLS["shufflenetv2-s"]
    assert (protocol.momentum, protocol.weight_decay, protocol.epochs) == (0.9, 5e-4, 100)
    assert any("batch size" in note for note in protocol.notes)


@pytest.mark.parametrize(("name", "rate", "dropout"), [("ldc-cifar", 0.05, 0.25), ("ldc-caltech", 0.1, 0.0)])
def test_the_ldc_protocols_state_what_the_paper_prints(name: str, rate: float, dropout: float) -> None:
    # 100 epochs, SGD, cosine annealing with warm restarts, T = 5 epochs, eta_min 0
    protocol = PROTOCOLS[name]
    assert (protocol.epochs, protocol.dropout) == (100, dropout)
    assert protocol.schedule == WarmRestarts(rate, 5, 0.0)
    assert any("batch size not stated" in note for note in protocol.notes)


def test_identity_tells_apart_what_changes_the_result_and_not_the_wording() -> None:
    protocol = PROTOCOLS["one-cycle"]
    assert replace(protocol, schedule=OneCycle(0.3)).identity() != protocol.identity()
    assert replace(protocol, weight_decay=0.0).identity() != protocol.identity()
    assert replace(protocol, notes=("said otherwise",)).identity() == protocol.identity()


def test_identities_of_trainings_from_before_a_key_are_as_they_were() -> None:
    # checkpoints and finished seeds of earlier versions are compared with it
    assert set(PROTOCOLS["shufflenetv2-s"].identity()) == {
        "protocol", "epochs", "batch_size", "schedule", "momentum", "nesterov", "weight_decay", "label_smoothing",
        "crop_padding", "flip",
    }  # fmt: skip
    added = {"decay_vectors": False, "alternate_flip": True, "average_fraction": 0.01}
    assert PROTOCOLS["modern"].identity().items() >= added.items()


def test_the_blank_square_scales_with_the_image() -> None:
    assert [replace(PROTOCOLS["modern"], cutout=0.25).cutout_pixels(size) for size in (32, 50, 224)] == [8, 12, 56]
    assert PROTOCOLS["shufflenetv2-s"].cutout_pixels(32) == 0


def test_an_unknown_protocol_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'one-cycle'"):
        PROTOCOLS["onecycle"]


def test_proxy_settings_reach_the_protocol() -> None:
    protocol = proxy_protocol(ProxySettings(epochs=3, learning_rate=0.1, warmup_fraction=0.0, flip=False))
    assert protocol.name == "proxy"
    assert (protocol.epochs, protocol.flip, protocol.schedule) == (3, False, OneCycle(0.1, 0.0))


def test_settings_and_protocols_do_not_import_torch() -> None:
    code = "import sys, archsearch.training.protocols; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
