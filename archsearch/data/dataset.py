"""A dataset: the training images, and a way to the test images for those who may look at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from archsearch.data.images import Images
from archsearch.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """One loaded dataset. Searching uses `train` only, and splits its validation images off it.

    Attributes:
        name: what the user called it, for example `cifar10` or `npz:PATH`.
        classes: name of each class, by class number.
        train: the training images.
        load_test: opens and returns the test images, at the size of the training images. Nothing of the test split
            is opened before this is called. Raises DataError if the split is absent or damaged.
        flip: whether a mirrored image still belongs to its class (a photograph does, a digit does not).
        fingerprint: first 12 hex digits of the SHA-256 of the training pixels and labels.

    Raises DataError if a training label has no class.
    """

    name: str
    classes: tuple[str, ...]
    train: Images
    load_test: Callable[[], Images]
    flip: bool
    fingerprint: str

    def __post_init__(self) -> None:
        lowest, highest = (int(bound) for bound in self.train.labels.aminmax())
        if lowest < 0 or highest >= len(self.classes):
            raise DataError(
                f"dataset '{self.name}': labels must be 0 to {len(self.classes) - 1}, got {lowest} to {highest}"
            )

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    @property
    def image_size(self) -> int:
        """Height and width of the training images (pixels)."""
        return self.train.image_size
