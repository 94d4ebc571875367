"""ShuffleNet V1 against the numbers of its paper (arXiv 1707.01083) and of the authors' repository."""

import pytest
import torch
from torch import Tensor, nn

from archsearch.blocks.shuffle import GroupShuffle
from archsearch.cost import count_operators
from archsearch.errors import ConfigError
from archsearch.models.families import build
from archsearch.models.modules.shufflenet_v1 import AddUnit, ConcatUnit, ShuffleNetV1
from archsearch.models.specs.shufflenet_v1 import CHANNELS, STEM_CHANNELS, ShuffleNetV1Spec, scaled_channels
from archsearch.models.variants import VARIANTS

BASE = ShuffleNetV1Spec()
SMALL = BASE.with_choices({"channels": "24,48,96", "units": 2, "stem.channels": 12})


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cost_of(name: str) -> tuple[int, int, int]:
    """Multiply-adds of convolutions, of convolutions and the linear layer, and parameters."""
    model = build(VARIANTS[name].spec, num_classes=1000, input_size=224)
    counted = count_operators(model, 224)
    assert counted.unsupported_ops == {}
    return counted.by_operator["conv"], counted.macs, sum(each.numel() for each in model.parameters())


@pytest.mark.parametrize(("groups", "printed"), [(1, 143), (2, 140), (3, 137), (4, 133), (8, 137)])
def test_table_1_counts_the_convolutions(groups: int, printed: int) -> None:
    convolutions, _, _ = cost_of(f"shufflenet_v1_x1_0_g{groups}")
    assert round(convolutions / 1e6) == printed
    assert convolutions == {1: 142_502_976, 3: 136_500_672}.get(groups, convolutions)


@pytest.mark.parametrize(
    ("name", "printed"),
    [("x2_0_g3", "524.05"), ("x1_5_g3", "292.44"), ("x0_5_g3", "37.59"), ("x2_0_g3_se", "526.93")],
)
def test_the_other_tables_count_the_linear_layer_too(name: str, printed: str) -> None:
    # table 5 and table 8 of V2: 524M, 292M, 38M, and 527M with SE
    assert f"{cost_of(f'shufflenet_v1_{name}')[1] / 1e6:.2f}" == printed


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [  # README of megvii-model/ShuffleNet-Series, in millions. Its classifiers have no biases: 1,000 less.
        ("x2_0_g3", 524, 5.4),
        ("x2_0_g8", 522, 6.5),
        ("x1_5_g3", 292, 3.4),
        ("x1_5_g8", 290, 4.3),
        ("x1_0_g8", 138, 2.4),
        ("x0_5_g3", 38, 0.7),
        ("x0_5_g8", 40, 1.0),
    ],
)
def test_the_authors_repository_prints_the_same_cost(name: str, macs: int, params: float) -> None:
    _, counted, parameters = cost_of(f"shufflenet_v1_{name}")
    assert (round(counted / 1e6), round((parameters - 1000) / 1e6, 1)) == (macs, params)


@pytest.mark.parametrize("groups", [1, 2, 3, 4])
def test_a_quarter_of_the_width_costs_the_printed_13_million(groups: int) -> None:
    # table 2's row of 0.25x; with eight groups no stem meets it
    assert round(cost_of(f"shufflenet_v1_x0_25_g{groups}")[1] / 1e6) == 13


@pytest.mark.parametrize("width", STEM_CHANNELS)
@pytest.mark.parametrize("groups", CHANNELS)
def test_channels_are_those_of_table_1_times_the_width(width: float, groups: int) -> None:
    spec = VARIANTS[f"shufflenet_v1_x{str(width).replace('.', '_')}_g{groups}"].spec
    assert isinstance(spec, ShuffleNetV1Spec)
    assert tuple(stage.channels for stage in spec.stages) == tuple(width * c for c in CHANNELS[groups])
    for incoming, stage in spec.widening():
        assert incoming % groups == stage.channels % groups == spec.hidden(stage) % groups == 0
        assert 0 <= stage.channels / 4 - spec.hidden(stage) < groups


def test_every_pointwise_convolution_but_the_first_is_grouped() -> None:
    model = build(SMALL, num_classes=5, input_size=32)
    assert isinstance(model, ShuffleNetV1)
    pointwise = {
        name: module.groups
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
    }
    assert pointwise.pop("stage2.0.main.0") == 1
    assert len(pointwise) == 11  # two in each of six units
    assert set(pointwise.values()) == {3}


def test_the_first_output_group_sees_every_input_group_only_if_channels_are_shuffled() -> None:
    # Two 1x1 convolutions of 3 groups: 24 channels in, 9 between, 24 out. The first output channel sees 3 channels
    # between: of all three groups if shuffled, else of its own, and so 3 * 8 or 8 channels of the input.
    x = maps(1, 24, 4, 4).requires_grad_()
    for shuffle, reached in ((True, 24), (False, 8)):
        unit = AddUnit(9, SMALL.stages[0], groups=3, shuffle=shuffle).eval()
        with torch.no_grad():
            for module in unit.modules():
                if isinstance(module, nn.Conv2d):
                    module.weight.abs_()  # so that ReLU lets everything through
        (gradient,) = torch.autograd.grad(unit.main(x.abs())[:, 0].sum(), x)
        assert int((gradient.abs().sum(dim=(0, 2, 3)) > 0).sum()) == reached


def test_a_unit_of_stride_two_concatenates_its_pooled_input_with_what_it_makes() -> None:
    unit = ConcatUnit(12, 6, SMALL.stages[0], first_groups=1, groups=3, shuffle=True).eval()
    x = maps(2, 12, 7, 7)
    out = unit(x)
    assert out.shape == (2, 24, 4, 4)
    torch.testing.assert_close(out[:, :12], torch.relu(nn.functional.avg_pool2d(x, 3, 2, 1)))
    torch.testing.assert_close(out[:, 12:], torch.relu(unit.main(x)))


def test_a_unit_of_stride_one_adds_its_input_after_attention_and_before_relu() -> None:
    stage = SMALL.with_choices({"attention": "se"}).stages[0]
    unit = AddUnit(6, stage, groups=3, shuffle=True).eval()
    x = maps(2, 24, 5, 5)
    torch.testing.assert_close(unit(x), torch.relu(unit.attention(unit.main(x)) + x))
    assert type(unit.main[-1]).__name__ == "BatchNorm2d"


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8, 24])
def test_groups_are_shuffled_as_torch_shuffles_them(groups: int, memory_format: torch.memory_format) -> None:
    x = maps(2, 24, 3, 5).to(memory_format=memory_format)
    out = GroupShuffle(groups)(x)
    assert torch.equal(out, nn.ChannelShuffle(groups)(x))
    assert out.is_contiguous(memory_format=memory_format)


def test_three_groups_of_two_leave_as_worked_out_by_hand() -> None:
    # groups (0 1)(2 3)(4 5): the first of each, then the second of each
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert GroupShuffle(3)(x).flatten().tolist() == [0, 2, 4, 1, 3, 5]


def test_a_trace_of_one_memory_format_shuffles_the_other_alike() -> None:
    shuffle, formats = GroupShuffle(3), (torch.contiguous_format, torch.channels_last)
    for traced_with in formats:
        traced = torch.jit.trace(shuffle, maps(1, 12, 3, 5).to(memory_format=traced_with))
        for format_ in formats:
            x = maps(2, 12, 4, 3).to(memory_format=format_)
            assert torch.equal(traced(x), shuffle(x))


def test_shuffle_without_effect_is_no_choice() -> None:
    assert BASE.with_choices({"width": "1.0xg1", "shuffle": False}) == BASE.with_choices({"width": "1.0xg1"})
    # one channel a group: 4 groups of 4 hidden channels in each stage
    single = {"groups": 4, "stem.channels": 4, "channels": "16,20,24"}
    assert BASE.with_choices({**single, "shuffle": False}) == BASE.with_choices(single)
    assert BASE.with_choices({"shuffle": False}) != BASE


@pytest.mark.parametrize("written", ["0.5xg8", "0.5x g8", "0.5g8", " 0.5x g8 "])
def test_width_sets_groups_and_channels_together(written: str) -> None:
    spec = BASE.with_choices({"width": written})
    # half of 384, 768, 1536; 16 as in the authors' code
    assert (spec.groups, *scaled_channels(0.5, 8)) == (8, 16, 192, 384, 768)
    assert (spec.stem.channels, *(stage.channels for stage in spec.stages)) == (16, 192, 384, 768)


@pytest.mark.parametrize("written", ["0.5", "0.3xg3", "1.0xg5", 1.0, "xg3", "1.0.0xg3"])
def test_a_width_without_groups_or_of_another_number_is_refused(written: object) -> None:
    with pytest.raises(ConfigError, match="choice 'width' cannot be"):
        BASE.with_choices({"width": written})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": 8, "stem.channels": 20}, r"'stem\.channels' cannot be 20 with 8 groups"),
        ({"stage3.channels": 500}, r"'stage3\.channels' cannot be 500 with 3 groups"),
        ({"stage3.channels": 240}, r"'stage3\.channels' cannot be 240"),
        ({"groups": 5}, "'groups' cannot be 5"),
    ],
)
def test_impossible_channels_are_refused_with_their_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BASE.with_choices(changes)


@pytest.mark.parametrize("size", [8, 31, 33, 64])
@pytest.mark.parametrize("kernel", [3, 4])
def test_maps_shrink_as_the_specification_says(size: int, kernel: int) -> None:
    spec = SMALL.with_choices({"kernel": kernel})
    model = build(spec, num_classes=5, input_size=size)
    assert isinstance(model, ShuffleNetV1)
    sizes, x = [], torch.zeros(2, 3, size, size)
    for part in (model.conv1, model.maxpool, model.stage2, model.stage3, model.stage4):
        x = part(x)
        sizes.append(x.shape[-1])
    assert tuple(sizes) == spec.map_sizes(size)


@pytest.mark.parametrize("attention", ["none", "se", "coordinate"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_it_trains_traces_and_scores_each_image_alone(attention: str, shuffle: bool) -> None:
    spec = SMALL.with_choices({"attention": attention, "shuffle": shuffle})
    assert ShuffleNetV1Spec.from_canonical_json(spec.canonical_json()) == spec
    model = build(spec, num_classes=4, input_size=64, seed=0)
    x = maps(6, 3, 64, 64)
    nn.functional.cross_entropy(model(x), torch.arange(6) % 4).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in model.parameters())
    model.eval()
    last = x.to(memory_format=torch.channels_last)
    with torch.no_grad():
        scores = model(x)
        assert scores.std(dim=0).max() > 0
        torch.testing.assert_close(model(x[:1]), scores[:1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), scores, rtol=1e-4, atol=1e-5)
        traced = torch.jit.trace(model, x[:1], check_trace=False)
        torch.testing.assert_close(traced(x), scores, rtol=1e-4, atol=1e-5)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(model(last), scores, rtol=1e-4, atol=1e-5)


def test_with_one_group_there_is_nothing_to_shuffle() -> None:
    for width in ("0_25", "0_5", "1_0", "1_5", "2_0"):
        plain, without = (VARIANTS[f"shufflenet_v1_x{width}_g1{end}"] for end in ("", "_noshuffle"))
        assert plain.spec == without.spec
        assert "nothing to shuffle" in without.note
