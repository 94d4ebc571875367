"""Every network on a GPU that is not there: no tensor of a forward pass lies, or is made, on another device."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import fake_cuda
import pytest
import torch
from torch import Tensor, nn

from archsearch.blocks.attention import ATTENTION
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.models.variants import VARIANTS, find_variant
from archsearch.space.search_space import load_space

ROOT = Path(__file__).parents[2]
SPACES = sorted(path.stem for path in (ROOT / "search_spaces").glob("*.yaml"))
POINTS = 200
SHARES = 4  # of the points of a space, a test each
ON_THE_GPU = (fake_cuda.DEVICE, fake_cuda.DEVICE)


@pytest.fixture(autouse=True)
def autocast_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch switches CUDA's autocast off where there is no GPU, fake tensors or not."""
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)


@pytest.fixture(scope="module")
def mode() -> Any:
    """One for all networks: it remembers what operators give for shapes."""
    return fake_cuda.fake_mode()


def points(name: str, share: int) -> list[Spec]:
    space = load_space(name)
    return [
        fake_cuda.shortened(space.spec(space.sample(seed)).normalised(32), 2) for seed in range(share, POINTS, SHARES)
    ]


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("name", SPACES)
def test_random_points_of_every_space_run_on_one_device(name: str, share: int, mode: Any) -> None:
    failed = Counter[str]()
    for spec in points(name, share):
        try:
            assert fake_cuda.walk(build(spec, num_classes=100, input_size=32), mode, size=32) == ON_THE_GPU
        except RuntimeError as error:
            failed[f"{type(error).__name__}: {str(error)[:200]}"] += 1
    assert not failed


def test_the_points_of_the_main_space_hold_every_form_and_odd_halves() -> None:
    seen: dict[str, set[Any]] = {}
    odd = 0
    for share in range(SHARES):
        for spec in points("shufflenet_v2", share):
            for name, value in spec.choices().items():
                seen.setdefault(name.rsplit(".", 1)[-1], set()).add(value)
            odd += any(spec.choices()[f"stage{stage}.split_ratio"] != 0.5 for stage in (2, 3, 4))
    assert seen["unit_form"] == {"torchvision", "authors"} and len(seen["split_ratio"]) >= 3
    assert seen["attention"] == set(ATTENTION.names()) and {True, False} <= seen["residual"]
    assert odd > POINTS / 4


@pytest.mark.parametrize("channels", [(46, 94, 190), (47, 95, 191)])
@pytest.mark.parametrize("split_ratio", [0.25, 0.5, 0.75])
def test_parts_of_odd_numbers_of_channels_run_on_one_device(
    channels: tuple[int, int, int], split_ratio: float, mode: Any
) -> None:
    changes = {f"stage{stage}.channels": width for stage, width in zip((2, 3, 4), channels, strict=True)}
    changes |= {f"stage{stage}.split_ratio": split_ratio for stage in (2, 3, 4)}
    for form in ("torchvision", "authors"):
        spec = find_variant("shufflenet_v2_x0_5").spec.with_choices({**changes, "unit_form": form})
        model = build(fake_cuda.shortened(spec.normalised(32), 2), num_classes=10, input_size=32)
        assert fake_cuda.walk(model, mode, size=32) == ON_THE_GPU


@pytest.mark.parametrize("first", "abcd")
def test_every_named_network_runs_on_one_device(first: str, mode: Any) -> None:
    share = "abcd".index(first)
    for name in sorted(VARIANTS.names())[share::4]:
        spec = fake_cuda.shortened(VARIANTS[name].spec.normalised(32), 2)
        assert fake_cuda.walk(build(spec, num_classes=10, input_size=32), mode, size=32) == ON_THE_GPU


def documented_references() -> list[str]:
    """`torchvision/NAME` wherever a document or a study names one."""
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "studies").glob("*.yaml")]
    found = {name for path in texts for name in re.findall(r"torchvision/([a-z0-9_]+)", path.read_text("utf-8"))}
    return sorted(found)


@pytest.mark.parametrize("name", documented_references())
def test_every_reference_of_torchvision_that_a_document_names_runs_on_one_device(name: str, mode: Any) -> None:
    spec = find_variant(f"torchvision/{name}").spec
    assert fake_cuda.walk(build(spec, num_classes=10, input_size=64), mode, size=64) == ON_THE_GPU


class Misplaced(nn.Module):
    """Makes a tensor on the CPU in its forward, as an exchange of odd halves once did."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.layer = kind, nn.Conv2d(3, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x).mean((2, 3))
        if self.kind == "index":
            return x.gather(1, torch.tensor([list(range(10))] * len(x)))
        if self.kind == "copied":
            return x + torch.ones(10).to(x.device)
        if self.kind == "waits":
            return x * (1.0 if x.sum().item() > 0 else 2.0)
        return x[x > 0].view(-1, 1).expand(-1, 10)


@pytest.mark.parametrize("kind", ["index", "copied", "waits", "counts"])
def test_a_network_that_leaves_its_device_or_waits_for_it_is_found(kind: str, mode: Any) -> None:
    with pytest.raises(
        (
            RuntimeError,
            torch._subclasses.fake_tensor.DataDependentOutputException,
            torch._subclasses.fake_tensor.DynamicOutputShapeException,
        )
    ):
        fake_cuda.walk(Misplaced(kind), mode, size=8)
