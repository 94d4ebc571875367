"""A user's own pictures as files: PATH/train/CLASS/* and PATH/test/CLASS/*, PATH/val/CLASS/*; or PATH/CLASS/*.

The layout is torchvision's ImageFolder's. `pictures.square_pixels` says how a file becomes pixels.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from archsearch.data.dataset import Dataset, nothing_to_check
from archsearch.data.decoded import Picture, decoded, listed, on_every_core
from archsearch.data.images import Images, OnDecoded, fingerprint_of
from archsearch.data.pictures import ENDINGS, PictureFacts, digest_of, picture_facts
from archsearch.data.split import held_out_positions
from archsearch.errors import ArchsearchError, ConfigError, DataError
from archsearch.files import write_atomically
from archsearch.image_rules import Background, ImageRules
from archsearch.text import plural

# What is known of picture files without decoding them, looked at once: remembered by path, size and time of change.

logger = logging.getLogger(__name__)

_FORMAT = 1  # counted up when `picture_facts` finds other things
_TELL_SECONDS = 15.0


def scanned(files: Sequence[Path], *, root: Path, folder: Path, whole: bool) -> list[PictureFacts]:
    """The facts of every file, in order; those that are new or were changed are read now, on every core.

    What has a problem is not remembered: a right, a disk or memory may have been what it lacked, not the file.

    Args:
        root: what the memory is kept for; files of several calls share one.
        folder: where it is kept. A memory that cannot be written is done without, with a warning.
        whole: see `picture_facts`.
    """
    place = folder / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]}.json"
    known = _remembered(place)
    told = [time.monotonic(), 0]
    stamps = [_stamp(file, whole=whole) for file in files]

    def look(number: int) -> PictureFacts:
        facts = picture_facts(files[number], whole=whole)
        told[1] += 1
        if time.monotonic() - told[0] > _TELL_SECONDS:
            told[0] = time.monotonic()
            logger.info("%d of %d new files are looked at", told[1], len(new))
        return facts

    names = [str(file) for file in files]
    new = [number for number, name in enumerate(names) if not _answers(known.get(name), stamps[number])]
    found = dict(zip(new, on_every_core(look, new), strict=True))
    usable = {names[number]: number for number, facts in found.items() if facts.problem is None}
    for name, number in usable.items():
        known[name] = {"stamp": stamps[number], "facts": asdict(found[number])}
    if usable:
        try:
            write_atomically(place, json.dumps({"format": _FORMAT, "files": known}).encode())
        except ArchsearchError as error:
            logger.warning("what was found out of %s is not remembered: %s", root, error)
    return [found.get(number) or PictureFacts(**known[name]["facts"]) for number, name in enumerate(names)]


def _stamp(file: Path, *, whole: bool) -> list[int]:
    """Size, time of the last change, and whether the whole file was decoded; a file that is not there has no stamp."""
    try:
        found = file.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, int(whole)]


def _answers(entry: Any, stamp: list[int]) -> bool:
    """Whether what is remembered is of this file; one that was decoded whole answers the smaller question, too."""
    return bool(stamp) and entry is not None and entry["stamp"] in (stamp, [*stamp[:2], 1])


def _remembered(place: Path) -> dict[str, Any]:
    """What was found earlier; nothing where the memory is absent, damaged, or of another version."""
    try:
        said = json.loads(place.read_text(encoding="utf-8"))
        if said["format"] != _FORMAT:
            return {}
        return {
            str(name): {"stamp": list(entry["stamp"]), "facts": asdict(PictureFacts(**entry["facts"]))}
            for name, entry in said["files"].items()
            if entry["facts"]["problem"] is None  # earlier versions remembered what had one
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


LARGEST_SIZE = 224  # of a set whose study does not say a size (pixels)
TRAIN, TEST, VALIDATION = "train", "test", ("val", "valid", "validation")
_MEANT_AS_SPLITS = frozenset({TRAIN, TEST, *VALIDATION, "training", "testing"})  # in whatever case
_SYSTEM_FILES = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin", "lost+found",
     "system volume information"}
)  # fmt: skip
_FORMER_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, kw_only=True)
class ListedSplit:
    """The files of one split, nothing of them opened.

    Attributes:
        folder: of the split.
        classes: names of its class folders, in alphabetical order.
        files: every file whose name ends as a picture's does, in order of class and name.
        labels: class number of each.
        left_out: how many files are no pictures of a class, by ending: those of other endings, and pictures outside of
            class folders.
        hidden: how many files and folders are hidden or the operating system's own.
    """

    folder: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    left_out: Counter[str]
    hidden: int


@dataclass(frozen=True, kw_only=True)
class ListedFolder:
    """A folder's splits. Where it has none, its classes are all in `train`, and `has_splits` is False."""

    root: Path
    train: ListedSplit
    validation: ListedSplit | None
    test: ListedSplit | None
    has_splits: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """Labelled picture files, as `images.ImageSource`: decoded when they are read, and kept decoded in `folder`."""

    pictures: tuple[Picture, ...]
    labels: Tensor
    image_size: int
    background: Background
    folder: Path

    def __len__(self) -> int:
        return len(self.pictures)

    def read(
        self,
        positions: Tensor | Sequence[int] | None = None,
        *,
        image_size: int | None = None,
        on_decoded: OnDecoded | None = None,
    ) -> Images:
        """The pictures at these positions, decoded at `image_size`, or at the set's own size."""
        chosen = range(len(self.pictures)) if positions is None else [int(place) for place in positions]
        pixels = decoded(
            [self.pictures[place] for place in chosen],
            size=image_size or self.image_size,
            background=self.background,
            folder=self.folder,
            on_decoded=on_decoded,
        )
        return Images(pixels, self.labels if positions is None else self.labels[torch.tensor(chosen)])

    def chosen(self, positions: Sequence[int]) -> Pictures:
        """Those at these positions, undecoded."""
        return Pictures(
            pictures=tuple(self.pictures[place] for place in positions),
            labels=self.labels[torch.tensor(positions)],
            image_size=self.image_size,
            background=self.background,
            folder=self.folder,
        )


def load_folder(path: Path, *, name: str, cache: Path, rules: ImageRules | None = None) -> Dataset:
    """The pictures of a folder, listed and looked at, but not decoded.

    Their own size is the shorter side of the training set's most common picture size, at most 224. Classes are the
    names of the folders, in alphabetical order.

    PATH/val (or valid, validation) is the dataset's own validation split, PATH/test its test split; with PATH/val alone
    that is the test split, and a warning says so. `ImageRules.test_share` holds out a share of PATH/train, or of PATH
    itself where that has no splits but classes.

    Args:
        cache: folder for what is found out and for decoded pictures.

    Raises ConfigError if `test_share` does not fit the folder; DataError if the folder is not laid out so, or a file
    of the training or validation split is no picture: the message names all of them.
    """
    rules = rules or ImageRules()
    found = list_folder(path, name=name, split=rules.test_share is None, former=rules.former)
    notes = _left_out(found, name)
    validation, test = found.validation, found.test
    if rules.former:
        validation, test = None, test or validation
    elif rules.test_share is None and test is None and validation is not None:
        own = validation.folder.name
        notes.append(
            f"'{name}' has a folder '{own}' and none '{TEST}': it is the test split, and the search validates on "
            f"images that it splits off '{TRAIN}'; with test_share set, '{own}' validates, and that share of '{TRAIN}' "
            "is held out for testing"
        )
        validation, test = None, validation
    if rules.test_share and found.test is not None:
        raise ConfigError(
            f"test_share is {rules.test_share:g}, but {path} has a test split of its own",
            hint=f"leave test_share out, or move the images of {found.test.folder} to {found.train.folder}",
        )
    look = partial(_pictures, name=name, cache=cache, rules=rules, notes=notes)
    everything, sizes = look(found.train)
    own_size = min(_common_side(sizes), LARGEST_SIZE)
    everything = replace(everything, image_size=own_size)
    train = everything
    load_test: Callable[[], Pictures] = partial(
        _load_test, found, test, name=name, cache=cache, rules=rules, size=own_size
    )
    check_test: Callable[[], None] = partial(_check_test, found, test, name=name)
    names: tuple[str, ...] = ()
    apart: Pictures | None = None
    if rules.test_share:
        kept, held_out = held_out_positions(everything.labels, rules.test_share, classes=found.train.classes, name=name)
        train = everything.chosen(kept)
        apart = everything.chosen(held_out)
        load_test = partial(everything.chosen, held_out)
        check_test = partial(_check_held_out, apart, found.train, cache=cache)
        names = tuple(picture.file.relative_to(path).as_posix() for picture in apart.pictures)
    elif rules.test_share == 0 and test is None:
        check_test = nothing_to_check
    own_validation = None
    if validation is not None:
        _check_classes(found.train, validation, name=name)
        own_validation = replace(look(validation)[0], image_size=own_size)
    return Dataset(
        name=name,
        classes=found.train.classes,
        train=train,
        validation=own_validation,
        load_test=load_test,
        check_test=check_test,
        notes=partial(_notes, notes, train, {"validation": own_validation, "test": apart}, test, name=name),
        held_out=names,
        flip=True,
        fingerprint=fingerprint_of(train.read()) if rules.former else _fingerprint(train, own_validation),
        former=rules.former,
    )


def list_folder(path: Path, *, name: str, split: bool, former: bool = False) -> ListedFolder:
    """The files of a folder, by split and class; opens none of them.

    Args:
        split: whether the folder must have a split `train`.
        former: only files of the endings that former versions knew.

    Raises DataError if the folder is not laid out so.
    """
    if not path.is_dir():
        raise DataError(f"dataset '{name}': there is no folder {path}", hint="check the path")
    endings = _FORMER_ENDINGS if former else ENDINGS
    validations = [path / each for each in VALIDATION if (path / each).is_dir()]
    if len(validations) > 1:
        raise DataError(
            f"dataset '{name}': {path} has the folders {' and '.join(each.name for each in validations)}",
            hint="one validation split: name it val",
        )
    test = path / TEST
    has_splits = (path / TRAIN).is_dir() or bool(validations) or test.is_dir()
    classes = [] if has_splits else _folders(path)[0]
    if classes and all(each.casefold() in _MEANT_AS_SPLITS for each in classes):
        raise DataError(
            f"dataset '{name}': {path} has the folders {' and '.join(classes)}, which would be taken for classes",
            hint=f"if they are splits, name them {TRAIN}, {VALIDATION[0]} and {TEST}, in lower case",
        )
    if not has_splits and split:
        raise DataError(
            f"dataset '{name}': there is no folder {path / TRAIN}",
            hint=f"put images under {path / TRAIN}/CLASS/"
            + (
                f", or, if {', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''} are the classes, hold out a "
                "share of their images for testing: test_share: 0.15 in the study"
                if classes
                else ""
            ),
        )
    return ListedFolder(
        root=path,
        train=_listing(path / TRAIN if has_splits else path, name=name, endings=endings),
        validation=_listing(validations[0], name=name, endings=endings) if validations else None,
        test=_listing(test, name=name, endings=endings) if test.is_dir() else None,
        has_splits=has_splits,
    )


def unlike_classes(train: ListedSplit, other: ListedSplit) -> str | None:
    """How another split's class folders differ from those of the training split; None if they do not."""
    missing = [each for each in train.classes if each not in other.classes]
    extra = [each for each in other.classes if each not in train.classes]
    if not missing and not extra:
        return None
    alike = [(one, two) for one in missing for two in extra if _folded(one) == _folded(two)]
    said = f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(extra) or 'none'}"
    if alike:
        pairs = ", ".join(f"{one!a} and {two!a}" for one, two in alike)
        said += f" ({pairs} differ only in upper and lower case or in how accents are written)"
    return said


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _pictures(
    split: ListedSplit, *, name: str, cache: Path, rules: ImageRules, notes: list[str]
) -> tuple[Pictures, list[tuple[int, int]]]:
    """The pictures of a split, at no size yet, and the size of each."""
    facts = scanned(split.files, root=split.folder, folder=cache / "looked-at", whole=rules.on_bad_image == "skip")
    bad = _problems(split.files, facts)
    if rules.on_bad_image == "refuse":
        _refuse(bad)
    if bad:
        notes.append(f"'{name}': left out of {split.folder}: {listed(bad, most=3)}")
    good = [place for place, each in enumerate(facts) if each.problem is None]
    _check_no_class_is_empty(split, [split.labels[place] for place in good], name=name)
    pictures = Pictures(
        pictures=tuple(Picture(file=split.files[place], digest=facts[place].digest) for place in good),
        labels=torch.tensor([split.labels[place] for place in good], dtype=torch.int64),
        image_size=LARGEST_SIZE,
        background=rules.background,
        folder=cache / "decoded",
    )
    return pictures, [(facts[place].width, facts[place].height) for place in good]


def _problems(files: Sequence[Path], facts: Sequence[PictureFacts]) -> list[tuple[Path, str]]:
    return [(file, each.problem) for file, each in zip(files, facts, strict=True) if each.problem is not None]


def _refuse(bad: Sequence[tuple[Path, str]]) -> None:
    if bad:
        raise DataError(listed(bad), hint="replace or remove them, or set on_bad_image: skip, which leaves them out")


def _check_held_out(pictures: Pictures, split: ListedSplit, *, cache: Path) -> None:
    """Raise DataError for those that cannot be decoded: once a search is done without one, others are held out."""
    files = [picture.file for picture in pictures.pictures]
    _refuse(_problems(files, scanned(files, root=split.folder, folder=cache / "looked-at", whole=True)))


def _load_test(
    found: ListedFolder, test: ListedSplit | None, *, name: str, cache: Path, rules: ImageRules, size: int
) -> Pictures:
    _check_test(found, test, name=name)
    assert test is not None
    return replace(_pictures(test, name=name, cache=cache, rules=rules, notes=[])[0], image_size=size)


def _check_test(found: ListedFolder, test: ListedSplit | None, *, name: str) -> None:
    if test is None:
        root, train = found.root, found.train.folder
        raise DataError(
            f"dataset '{name}': {root} has no test split",
            hint=f"put images that are not in {train} under {root / TEST}/CLASS/, or hold out a share of those in "
            f"{train} for testing (a study with test_share: 0.15); test_share: 0 goes without testing and retraining",
        )
    _check_classes(found.train, test, name=name)


def _check_classes(train: ListedSplit, other: ListedSplit, *, name: str) -> None:
    if unlike := unlike_classes(train, other):
        raise DataError(f"dataset '{name}': {other.folder} has other class folders than {train.folder}: {unlike}")
    _check_no_class_is_empty(other, other.labels, name=name)


def _check_no_class_is_empty(split: ListedSplit, labels: Sequence[int], *, name: str) -> None:
    there = set(labels)
    empty = [each for label, each in enumerate(split.classes) if label not in there]
    if empty or not split.classes:
        what = f"no image in {', '.join(empty)}" if empty else "no class folders"
        raise DataError(
            f"dataset '{name}': {split.folder}: {what}",
            hint=f"put images under {split.folder}/CLASS/; their names end in {', '.join(ENDINGS)}",
        )


def _left_out(found: ListedFolder, name: str) -> list[str]:
    """One sentence of what is left out of the splits, if there is something."""
    counts: Counter[str] = Counter()
    for split in (found.train, found.validation, found.test):
        if split is not None:
            counts += split.left_out
    return [f"'{name}': {left_out_text(counts)}"] if counts else []


def left_out_text(counts: Counter[str]) -> str:
    """Files that are left out, of `ListedSplit.left_out`, in words."""
    kinds = ", ".join(f"{number:,} {ending}" for ending, number in counts.most_common())
    return f"left out: {kinds} (pictures end in {', '.join(ENDINGS)})"


def _notes(
    said: Sequence[str],
    pictures: Pictures,
    others: Mapping[str, Pictures | None],
    test: ListedSplit | None,
    *,
    name: str,
) -> tuple[str, ...]:
    """What was said already, and which pictures stand twice: in training, and there and in another split."""
    found = list(said)
    by_digest: dict[str, set[int]] = {}
    for picture, label in zip(pictures.pictures, pictures.labels.tolist(), strict=True):
        by_digest.setdefault(picture.digest, set()).add(label)
    copies = len(pictures) - len(by_digest)
    if copies:
        unlike = sum(len(labels) > 1 for labels in by_digest.values())
        torn = f"; {unlike:,} stand in two classes" if unlike else ""
        found.append(f"'{name}': of {plural(len(pictures), 'training picture')} {copies:,} repeat others{torn}")
    seen = {
        split: sum(each.digest in by_digest for each in other.pictures)
        for split, other in others.items()
        if other is not None
    }
    if test is not None:
        sizes = {picture.file.stat().st_size for picture in pictures.pictures}
        # only a file of the same length can be a copy: few are read, and none is opened as an image
        alike = [file for file in test.files if file.is_file() and file.stat().st_size in sizes]
        seen["test"] = sum(digest in by_digest for digest in on_every_core(_digest, alike))
    found += [
        f"'{name}': the training split has {plural(number, f'{split} picture')}, too: accuracies come out too high"
        for split, number in seen.items()
        if number
    ]
    return tuple(found)


def _digest(file: Path) -> str:
    return digest_of(file.read_bytes())


def _listing(folder: Path, *, name: str, endings: Sequence[str]) -> ListedSplit:
    """Every picture of a split by its name. Raises DataError if there is no such folder, or a class is named oddly."""
    if not folder.is_dir():
        raise DataError(f"dataset '{name}': there is no folder {folder}", hint=f"put images under {folder}/CLASS/")
    classes, beside, hidden = _folders(folder)
    odd = [each for each in classes if each.encode(errors="ignore").decode() != each]
    if odd:
        raise DataError(
            f"dataset '{name}': {folder}: {odd[0]!a} is no name of a class: it is not UTF-8", hint="rename the folder"
        )
    files: list[Path] = []
    labels: list[int] = []
    left_out: Counter[str] = Counter(
        _ending(file) + " outside of class folders" * file.lower().endswith(tuple(endings)) for file in beside
    )
    for label, each in enumerate(classes):
        for place, names, ignored in _walk(folder / each):
            hidden += ignored
            for file in names:
                if file.lower().endswith(tuple(endings)):
                    files.append(place / file)
                    labels.append(label)
                else:
                    left_out[_ending(file)] += 1
    return ListedSplit(
        folder=folder,
        classes=tuple(classes),
        files=tuple(files),
        labels=tuple(labels),
        left_out=left_out,
        hidden=hidden,
    )


def _folders(folder: Path) -> tuple[list[str], list[str], int]:
    """Names of the folders in a folder and of the files beside them, and how many of either are hidden."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        _refuse_unlisted(error)
    seen = [entry for entry in entries if not _is_hidden(entry.name)]
    folders = [entry.name for entry in seen if entry.is_dir()]
    return folders, [entry.name for entry in seen if not entry.is_dir()], len(entries) - len(seen)


def _refuse_unlisted(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename} cannot be listed: {error.strerror}") from error


def _walk(folder: Path) -> list[tuple[Path, list[str], int]]:
    """Every folder from this one down, links followed once, in ImageFolder's order: files, and how many are hidden."""
    found = []
    been = set()
    for place, folders, files in os.walk(folder, onerror=_refuse_unlisted, followlinks=True):
        real = Path(place).resolve()
        if real in been:
            folders.clear()
            continue
        been.add(real)
        shown, names = ([each for each in some if not _is_hidden(each)] for some in (folders, files))
        hidden = len(folders) - len(shown) + len(files) - len(names)
        folders[:] = shown
        found.append((place, sorted(names), hidden))
    return [(Path(place), names, hidden) for place, names, hidden in sorted(found)]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def _ending(name: str) -> str:
    return Path(name).suffix.lower() or "without an ending"


def _common_side(sizes: Sequence[tuple[int, int]]) -> int:
    """The shorter side of the most common (width, height); of equally common ones, the smallest."""
    _, shorter = max((count, -min(size)) for size, count in Counter(sizes).items())
    return -shorter


def _fingerprint(train: Pictures, validation: Pictures | None) -> str:
    digest = hashlib.sha256(f"pictures {train.background}".encode())
    for split in (train, validation):
        digest.update(b"split")
        if split is not None:
            for picture, label in zip(split.pictures, split.labels.tolist(), strict=True):
                digest.update(f"{picture.digest} {label}\n".encode())
    return digest.hexdigest()[:12]
