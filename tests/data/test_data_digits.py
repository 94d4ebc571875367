from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from archsearch.data.catalog import load_dataset
from archsearch.data.digits import embedded_digits


def test_digits_are_all_there_and_split_once() -> None:
    dataset = load_dataset("digits")
    test = dataset.load_test()
    assert (len(dataset.train), len(test)) == (1438, 359)  # 20% of 1,797 is 359.4
    # scikit-learn documents the counts of the ten digits
    counts = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    assert np.array_equal(np.bincount(torch.cat([dataset.train.labels, test.labels]).numpy()), counts)
    shares = counts * 359 / 1797
    assert np.all(np.abs(np.bincount(test.labels.numpy()) - shares) < 1)


def test_digits_are_enlarged_without_losing_their_ink() -> None:
    dataset = load_dataset("digits")
    assert dataset.image_size == 32 and not dataset.flip
    assert torch.equal(dataset.train.pixels[:, 0], dataset.train.pixels[:, 2])
    # bilinear enlargement keeps the mean grey level but for the borders; ink is counted from 0 to 16
    everything = torch.cat([dataset.train.pixels, dataset.load_test().pixels])
    expected = load_digits().images.mean() / 16
    assert abs(everything.to(torch.float64).mean().item() / 255 - expected) < 0.01


def test_the_embedded_digits_are_those_of_scikit_learn() -> None:
    images, labels = embedded_digits()
    theirs = load_digits()
    assert np.array_equal(images, theirs.images)
    assert np.array_equal(labels, theirs.target)


def test_digits_are_the_same_every_time() -> None:
    first, second = load_dataset("digits"), load_dataset("digits")
    assert first.fingerprint == second.fingerprint
    assert torch.equal(first.load_test().labels, second.load_test().labels)
