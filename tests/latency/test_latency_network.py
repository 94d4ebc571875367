from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from archsearch.errors import ConfigError, MeasurementError
from archsearch.latency import prepare as prepare_module
from archsearch.latency.fingerprint import device_fingerprint
from archsearch.latency.lease import DeviceLease, _held
from archsearch.latency.network import measure_network, prepare_reference
from archsearch.latency.prepare import random_input
from archsearch.latency.settings import LatencySettings

QUICK = LatencySettings(
    backend="torch",
    bursts=4,
    runs_per_burst=3,
    visits=2,
    spread_seconds=0.05,
    budget_seconds=3.0,
    tolerance=0.9,
    memory_tolerance=99.0,  # whatever else this machine does
)


def network(width: int, depth: int = 1) -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for _ in range(depth):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers)


@pytest.fixture
def lease(tmp_path: Path) -> DeviceLease:
    return DeviceLease("cpu", tmp_path / "lease")


def test_a_latency_carries_its_conditions_and_more_work_takes_longer(lease: DeviceLease) -> None:
    latency = measure_network(
        network(64, depth=6),
        network(4),
        reference_name="small",
        settings=QUICK,
        device="cpu",
        input_size=32,
        lease=lease,
        seed=3,
    )
    assert latency.ratio_low is not None
    assert latency.ratio_high is not None
    assert latency.ratio_low <= latency.ratio_high
    assert (latency.attempts, latency.also, latency.drift) == (1, (), None)
    assert "load_average_1_minute" in latency.state
    assert 0 < latency.p10_ms <= latency.median_ms <= latency.p90_ms
    assert latency.ratio_to_reference == pytest.approx(latency.p10_ms / latency.reference_p10_ms)
    assert latency.ratio_to_reference > 1  # 6 layers of 64 channels against one of 4: several hundred times the MACs
    assert (latency.reference, latency.device, latency.backend) == ("small", "cpu", "torch")
    assert (latency.batch, latency.threads, latency.input_size) == (1, 1, 32)
    assert latency.fingerprint == device_fingerprint("cpu", "torch", 1).id
    assert latency.n == latency.bursts * 3


def test_a_prepared_reference_serves_many_measurements_and_threads_are_restored(lease: DeviceLease) -> None:
    threads = torch.get_num_threads()
    reference = prepare_reference(network(4), name="small", settings=QUICK, device="cpu", input_size=16, lease=lease)
    for width in (4, 8):
        latency = measure_network(network(width), reference, settings=QUICK, device="cpu", input_size=16, lease=lease)
        assert latency.reference == "small"
    assert torch.get_num_threads() == threads


def test_a_reference_prepared_for_other_conditions_is_refused(lease: DeviceLease) -> None:
    reference = prepare_reference(network(4), name="small", settings=QUICK, device="cpu", input_size=16, lease=lease)
    with pytest.raises(MeasurementError, match="prepare the reference again"):
        measure_network(network(4), reference, settings=QUICK, device="cpu", input_size=32, lease=lease)


def test_a_reference_network_without_a_name_is_refused(lease: DeviceLease) -> None:
    with pytest.raises(MeasurementError, match="reference_name"):
        measure_network(network(4), network(4), settings=QUICK, device="cpu", input_size=32, lease=lease)


def test_a_network_that_cannot_run_is_an_error_with_the_reason(lease: DeviceLease) -> None:
    with pytest.raises(MeasurementError, match=r"could not be run.*batch 1 at input size 2.*Kernel size"):
        measure_network(
            nn.Sequential(nn.Conv2d(3, 4, 5)),
            network(4),
            reference_name="small",
            settings=QUICK,
            device="cpu",
            input_size=2,
            lease=lease,
        )


def test_a_device_that_no_backend_runs_on_is_a_configuration_error(lease: DeviceLease) -> None:
    with pytest.raises(ConfigError, match="does not run on 'meta'"):
        prepare_reference(network(4), name="small", settings=QUICK, device="meta", input_size=16, lease=lease)


def test_the_input_is_a_random_picture_of_the_seed() -> None:
    first = random_input(batch=2, input_size=24, device="cpu", seed=1)
    assert first.shape == (2, 3, 24, 24)
    assert torch.equal(first, random_input(batch=2, input_size=24, device="cpu", seed=1))
    assert not torch.equal(first, random_input(batch=2, input_size=24, device="cpu", seed=2))
    assert float(first.std()) == pytest.approx(1.0, abs=0.1)


def test_every_run_happens_while_the_lease_is_held(tmp_path: Path) -> None:
    held: list[str | None] = []

    lease = DeviceLease("cpu", tmp_path / "lease")

    class Spy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            held.append(_held(lease._key))
            return x

    measure_network(
        nn.Sequential(nn.Conv2d(3, 4, 3), Spy()),
        network(4),
        reference_name="small",
        settings=QUICK,
        device="cpu",
        input_size=16,
        lease=lease,
    )
    assert held[:3] == ["shared"] * 3  # preparing: traced for folding, then plain and folded once each
    assert set(held[3:]) == {"exclusive"}


def test_a_high_load_is_warned_of_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(prepare_module, "_WARNED", set())
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (2.0, 0.0, 0.0))
    with caplog.at_level(logging.WARNING):
        prepare_module.warn_of_load_once()
        assert not caplog.records  # as many workers as cores
        monkeypatch.setattr("os.getloadavg", lambda: (7.5, 0.0, 0.0))
        prepare_module.warn_of_load_once()
        prepare_module.warn_of_load_once()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the load average is 7.5 on 2 cores"
    ]


def test_a_batch_that_does_not_fit_in_memory_is_an_error_that_says_so() -> None:
    with pytest.raises(MeasurementError, match=r"a batch of 1,000,000,000 images at 224x224 does not fit in memory"):
        random_input(batch=10**9, input_size=224, device="cpu", seed=0)  # 602 terabytes
