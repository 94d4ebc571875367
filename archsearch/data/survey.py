"""What a dataset holds, looked at whole: every split, every file, what stands twice and what decoding costs."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from archsearch.data.catalog import DataRequest, load_dataset, parse_dataset
from archsearch.data.decoded import seconds_to_decode
from archsearch.data.folder import LARGEST_SIZE, ListedSplit, list_folder, scanned, unlike_classes
from archsearch.data.images import Images
from archsearch.errors import DataError
from archsearch.host import usable_cores
from archsearch.image_rules import ImageRules


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """One split.

    Attributes:
        name: train, validation or test.
        images: usable images of each class, by name.
        problems: files that are no usable images, each with the reason.
        left_out: files that are no pictures of a class, by ending.
        hidden: files and folders that are hidden or the operating system's own.
        sizes: images of each size, upright, such as "640x480" (pixels).
        modes: images of each format and mode of pixels, such as "JPEG RGB".
    """

    name: str
    images: dict[str, int]
    problems: tuple[tuple[str, str], ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    sizes: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """Usable images."""
        return sum(self.images.values())


@dataclass(frozen=True, kw_only=True)
class DuplicateCounts:
    """Images of one content that stand at several places.

    Attributes:
        places: split and class of each, and its file's name or number.
    """

    places: tuple[tuple[str, str, str], ...]

    @property
    def across_splits(self) -> bool:
        """Whether they stand in several splits."""
        return len({split for split, _, _ in self.places}) > 1

    @property
    def across_classes(self) -> bool:
        """Whether they stand in several classes."""
        return len({name for _, name, _ in self.places}) > 1


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """All that is found.

    Attributes:
        uri: the dataset as the user wrote it.
        classes: of the training split.
        splits: those that there are; the training split is the first.
        has_splits: whether its folder has splits at all; True for what is no folder.
        repeats: what stands more than once.
        unlike: for each other split whose classes are not those of the training split, how they differ.
        decode_seconds: for each picture, with every core at work, at the size that was asked for, or else at
            `image_size`; None for arrays.
        image_size: the images' own size (pixels), at most 224 for pictures.
        cores: that decode at the same time.
    """

    uri: str
    classes: tuple[str, ...]
    splits: tuple[SplitFacts, ...]
    has_splits: bool
    repeats: tuple[DuplicateCounts, ...]
    unlike: dict[str, str]
    decode_seconds: float | None
    image_size: int
    cores: int

    @property
    def train(self) -> SplitFacts:
        """The training split."""
        return self.splits[0]

    def split(self, name: str) -> SplitFacts | None:
        """One of the splits, or None."""
        return next((each for each in self.splits if each.name == name), None)


def look_at(uri: str, *, data_dir: str | Path | None = None, image_size: int | None = None) -> DatasetFacts:
    """Look at every split of a dataset; pictures are opened, a few of them decoded at `image_size` to time it.

    Raises what `load_dataset` raises, but for files that are no images: those are among the facts.
    """
    entry, path = parse_dataset(uri)
    if not entry.decodes:
        return _of_arrays(uri.strip(), data_dir)
    cache = DataRequest(uri=uri, path=path, data_dir=data_dir, download=False, rules=ImageRules()).download_folder()
    found = list_folder(path, name=uri.strip(), split=False)
    others = [("validation", found.validation), ("test", found.test)]
    listed = [("train", found.train), *((name, split) for name, split in others if split is not None)]
    contents: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    splits = tuple(_of_files(name, split, cache, contents) for name, split in listed)
    train = splits[0]
    if not train.count:
        raise DataError(
            f"dataset '{uri.strip()}': no usable image in {found.train.folder}", hint="put images in folders of classes"
        )
    sides = [(count, -min(int(side) for side in size.split("x"))) for size, count in train.sizes.items()]
    own_size = min(-max(sides)[1], LARGEST_SIZE)
    broken = {file for file, _ in train.problems}
    unlike = {name: said for name, split in listed[1:] if (said := unlike_classes(found.train, split)) is not None}
    return DatasetFacts(
        uri=uri.strip(),
        classes=found.train.classes,
        splits=splits,
        has_splits=found.has_splits,
        repeats=tuple(DuplicateCounts(places=tuple(places)) for places in contents.values() if len(places) > 1),
        unlike=unlike,
        decode_seconds=seconds_to_decode(
            [file for file in found.train.files if _as_text(file) not in broken], size=image_size or own_size
        ),
        image_size=own_size,
        cores=usable_cores(),
    )


def _of_files(
    name: str, split: ListedSplit, cache: Path, contents: dict[str, list[tuple[str, str, str]]]
) -> SplitFacts:
    facts = scanned(split.files, root=split.folder, folder=cache / "looked-at", whole=False)
    images = dict.fromkeys(split.classes, 0)
    sizes: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    problems = []
    for file, label, each in zip(split.files, split.labels, facts, strict=True):
        if each.problem is not None:
            problems.append((_as_text(file), each.problem))
            continue
        images[split.classes[label]] += 1
        sizes[f"{each.width}x{each.height}"] += 1
        modes[f"{each.format} {each.mode}"] += 1
        contents[each.digest].append((name, split.classes[label], _as_text(file.name)))
    return SplitFacts(
        name=name,
        images=images,
        problems=tuple(problems),
        left_out=Counter({_as_text(ending): count for ending, count in split.left_out.items()}),
        hidden=split.hidden,
        sizes=sizes,
        modes=modes,
    )


def _as_text(name: str | Path) -> str:
    """A file's name, which may be any bytes; those that are no UTF-8 as escapes."""
    return str(name).encode(errors="backslashreplace").decode()


def _of_arrays(uri: str, data_dir: str | Path | None) -> DatasetFacts:
    dataset = load_dataset(uri, data_dir=data_dir)
    parts: list[tuple[str, Images]] = [("train", dataset.train.read())]
    if dataset.validation is not None:
        parts.append(("validation", dataset.validation.read()))
    try:
        dataset.check_test()
    except DataError:
        pass
    else:
        parts.append(("test", dataset.load_test().read()))
    contents: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    splits = tuple(_of_images(name, images, dataset.classes, contents) for name, images in parts)
    return DatasetFacts(
        uri=uri,
        classes=dataset.classes,
        splits=splits,
        has_splits=True,
        repeats=tuple(DuplicateCounts(places=tuple(places)) for places in contents.values() if len(places) > 1),
        unlike={},
        decode_seconds=None,
        image_size=dataset.image_size,
        cores=usable_cores(),
    )


def _of_images(
    name: str, images: Images, classes: Sequence[str], contents: dict[str, list[tuple[str, str, str]]]
) -> SplitFacts:
    counts = torch.bincount(images.labels, minlength=len(classes)).tolist()
    for place, label in enumerate(images.labels.tolist()):
        pixels = images.gathered(slice(place, place + 1)).numpy()
        contents[hashlib.sha256(pixels.tobytes()).hexdigest()].append((name, classes[label], str(place)))
    size = images.image_size
    return SplitFacts(
        name=name, images=dict(zip(classes, counts, strict=True)), sizes=Counter({f"{size}x{size}": len(images)}),
        modes=Counter({"uint8 RGB": len(images)}),
    )  # fmt: skip
