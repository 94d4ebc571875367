"""A dataset: the training images, and a way to the test images for those who may look at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from archsearch.data.images import Images, ImageSource, OnDecoded
from archsearch.data.split import check_class_sizes, stratified_positions, stratified_subset
from archsearch.errors import ConfigError, DataError


def nothing_to_say() -> tuple[str, ...]:
    """`notes` of a dataset that is known."""
    return ()


def nothing_to_check() -> None:
    """`check_test` of a dataset that has its test split for certain, or needs none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """One loaded dataset. Searching uses `train` only, and splits its validation images off it.

    Attributes:
        name: what the user called it, for example `cifar10` or `npz:PATH`.
        classes: name of each class, by class number.
        train: the training images.
        validation: the user's own validation images, which nothing is trained on; None: there are none.
        load_test: gives the test images. Nothing of the test split is opened before this is called. Raises DataError if
            the split is absent or damaged.
        check_test: raises DataError if `load_test` would find no test split or other classes, or a held-out picture
            that cannot be decoded; opens no image of a test split of the user's own.
        notes: what to know of the images before they are used, in sentences: what was left out, and what stands twice.
            Reads files of the test split, but opens none as an image.
        flip: whether a mirrored image still belongs to its class (a photograph does, a digit does not).
        fingerprint: first 12 hex digits of a SHA-256 of the training images, as they are read, and their labels, and of
            the user's own validation images, where there are some.
        held_out: files of the test images that `test_share` held out, in their order, relative to the dataset's folder;
            () where there are none, or no files.
        former: whether it is read and split as `ImageRules.former` says.

    Raises DataError if a training label has no class, or there is but one class.
    """

    name: str
    classes: tuple[str, ...]
    train: ImageSource
    load_test: Callable[[], ImageSource]
    flip: bool
    fingerprint: str
    validation: ImageSource | None = None
    check_test: Callable[[], None] = nothing_to_check
    notes: Callable[[], tuple[str, ...]] = nothing_to_say
    held_out: tuple[str, ...] = ()
    former: bool = False

    def __post_init__(self) -> None:
        lowest, highest = (int(bound) for bound in self.train.labels.aminmax())
        if lowest < 0 or highest >= len(self.classes):
            raise DataError(
                f"dataset '{self.name}': labels must be 0 to {len(self.classes) - 1}, got {lowest} to {highest}"
            )
        if len(self.classes) < 2:
            raise DataError(
                f"dataset '{self.name}': there is one class, '{self.classes[0]}': nothing to tell apart",
                hint="add images of another class",
            )

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    @property
    def image_size(self) -> int:
        """Height and width of the training images where no other size is asked for (pixels)."""
        return self.train.image_size

    def split_positions(
        self, *, validation_images: int, train_images: int | None, seed: int, fresh: bool = False
    ) -> tuple[list[int], list[int]]:
        """Which images a search trains on (positions in `train`), and which it validates on.

        The latter are positions in `validation` where the user has one, of which at most `validation_images` are taken,
        else in `train`. Both have every class in its share, and each class with at least one image. `fresh`: others to
        validate on than without it (`split.stratified_positions`).

        Raises ConfigError or DataError if that cannot be.
        """
        if self.validation is not None:
            if fresh:
                raise ConfigError(
                    f"dataset '{self.name}' has validation images of its own, and no others to validate on",
                    hint="validate on the search's own images",
                )
            return (
                stratified_subset(self.train.labels, train_images, seed=seed, what="train_images"),
                stratified_subset(self.validation.labels, validation_images, seed=seed, what="validation_images"),
            )
        if not self.former:
            check_class_sizes(self.train.labels, self.classes, "one to train on and one to validate on", name=self.name)
        return stratified_positions(
            self.train.labels,
            validation_images=validation_images,
            train_images=train_images,
            seed=seed,
            every_class=not self.former,
            fresh=fresh,
        )

    def split(
        self,
        *,
        validation_images: int,
        train_images: int | None,
        seed: int,
        image_size: int,
        fresh: bool = False,
        on_decoded: OnDecoded | None = None,
    ) -> tuple[Images, Images]:
        """The images of `split_positions`, (train, validation), read for a network of this input size."""
        train, validation = self.split_positions(
            validation_images=validation_images, train_images=train_images, seed=seed, fresh=fresh
        )
        source = self.train if self.validation is None else self.validation
        size = self._read_at(image_size)
        return (
            self.train.read(train, image_size=size, on_decoded=on_decoded),
            source.read(validation, image_size=size, on_decoded=on_decoded),
        )

    def training_images(self, image_size: int, *, on_decoded: OnDecoded | None = None) -> Images:
        """All training images, read for a network of this input size."""
        return self.train.read(image_size=self._read_at(image_size), on_decoded=on_decoded)

    def test_images(self, image_size: int, *, on_decoded: OnDecoded | None = None) -> Images:
        """All test images, read for a network of this input size. Raises DataError as `load_test` does."""
        return self.load_test().read(image_size=self._read_at(image_size), on_decoded=on_decoded)

    def _read_at(self, image_size: int) -> int | None:
        return None if self.former else image_size
