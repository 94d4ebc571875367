from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from archsearch.data.dataset import Dataset
from archsearch.errors import TrainingError
from archsearch.models.families import FAMILIES, build
from archsearch.training.protocols import PROTOCOLS
from archsearch.training.retrain import retrain_seed
from archsearch.training.step import CompiledStep, EagerStep

SPEC = FAMILIES["shufflenet_v2"].base.with_choices({"width": 0.5, "units": 1, "stem.pool": False})


def optimizer_of(model: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def test_a_network_that_cannot_be_compiled_is_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(graph: object, inputs: object) -> object:
        raise RuntimeError("no compiler here")

    plain = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: plain(model, backend=refuses))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    step = CompiledStep(EagerStep(model, optimizer_of(model), label_smoothing=0.1, device="cpu", amp=False))
    with pytest.raises(TrainingError, match="cannot compile this network here: BackendCompilerFailed"):
        step(torch.zeros(2, 3, 2, 2), torch.tensor([0, 1]), 0.1)


@pytest.mark.slow
def test_compiled_training_keeps_the_plain_networks_weights(dataset: Dataset, tmp_path: Path) -> None:
    seeds = {
        compiled: retrain_seed(
            SPEC, dataset, PROTOCOLS["modern"], epochs=1, batch_size=len(dataset.train), seed=0, input_size=32,
            device="cpu", folder=tmp_path / str(compiled), compiled=compiled,
        )
        for compiled in (False, True)
    }  # fmt: skip
    # One step: joined operations round otherwise, and further steps would magnify that.
    plain, compiled = (safetensors.torch.load(seeds[each].weights.read_bytes()) for each in (False, True))
    assert compiled.keys() == plain.keys() == build(SPEC, num_classes=3, input_size=32).state_dict().keys()
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-2, atol=1e-3, msg=name)
    assert seeds[True].score.curve[0].train_loss == pytest.approx(seeds[False].score.curve[0].train_loss, rel=1e-3)
