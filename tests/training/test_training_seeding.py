from __future__ import annotations

import torch

from archsearch.training.seeding import epoch_seed, seeded


def test_seeded_repeats_and_leaves_the_callers_generator_alone() -> None:
    before = torch.random.get_rng_state()
    with seeded(3):
        first = torch.rand(4)
    with seeded(3):
        second = torch.rand(4)
    with seeded(4):
        other = torch.rand(4)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_two_epochs_or_seeds_share_their_numbers() -> None:
    seeds = [epoch_seed(seed, epoch) for seed in range(50) for epoch in range(200)]
    assert len(set(seeds)) == len(seeds)
