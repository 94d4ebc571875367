"""A dataset as its user sees it: what is in it, what is wrong with it, and a study that fits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.data.folder import left_out_text
from archsearch.data.survey import DatasetFacts, SplitFacts
from archsearch.table import Column, InNotebooks, Table, table_of
from archsearch.text import duration, plural

_MOST_SIZES = 8
SKEWED = 3.0  # times as many images in the largest class as in the smallest, from which on accuracy misleads


@dataclass(frozen=True, kw_only=True)
class StudyNeeds:
    """What the fitting study reads, and what that needs.

    Attributes:
        train_images, validation_images: that it reads.
        input_size: pixels.
        disk_text, memory_text: for people.
        decode_seconds: until they are decoded, on all cores; None where nothing is.
    """

    train_images: int
    validation_images: int
    input_size: int
    disk_text: str
    memory_text: str
    decode_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class DatasetSurvey(InNotebooks):
    """What is known of a dataset: an `archsearch.table.Result`.

    Attributes:
        study: keys and values of a study that fits it; None where none does, and `no_study` says why.
        needs: of that study; None without one.
    """

    facts: DatasetFacts
    study: Mapping[str, Any] | None
    needs: StudyNeeds | None
    no_study: str = ""
    method: str = ""
    empty: str | None = None

    @property
    def title(self) -> str:
        """Which dataset."""
        return f"Dataset {self.facts.uri}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """How many classes and images."""
        splits = ", ".join(f"{each.count:,} {each.name}" for each in self.facts.splits)
        return (f"{plural(len(self.facts.classes), 'class').replace('classs', 'classes')}, images: {splits}",)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers mean for a study."""
        said = [self._guess()]
        if self.needs is not None:
            needs = self.needs
            time = ""
            if needs.decode_seconds is not None:
                cores = plural(self.facts.cores, "core")
                time = f"; decoding takes about {duration(needs.decode_seconds)} on {cores}, once"
            said.append(
                f"A study reads {needs.train_images:,} training and {needs.validation_images:,} validation images at "
                f"{needs.input_size}x{needs.input_size}: {needs.disk_text}, {needs.memory_text}{time}."
            )
        return tuple(said)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong, or soon will be."""
        facts, said = self.facts, []
        for split in facts.splits:
            if split.problems:
                said.append(
                    f"{plural(len(split.problems), f'{split.name} file')} cannot be used as images: replace or remove "
                    "them, or set on_bad_image: skip"
                )
            empty = [name for name, count in split.images.items() if not count]
            if empty:
                said.append(f"no usable {split.name} image in {', '.join(empty[:10])}")
        left_out = sum((split.left_out for split in facts.splits), Counter[str]())
        if left_out:
            said.append(left_out_text(left_out))
        said += [
            f"the {name} split has other classes than the training split: {how}" for name, how in facts.unlike.items()
        ]
        said += self._repeated()
        if not facts.has_splits:
            said.append("the folder has classes, but no splits: test_share holds out images for testing")
        elif facts.split("test") is None:
            own = facts.split("validation") is not None
            beside = "; without it, the validation images are the test split" if own else ""
            said.append(f"there is no test split: test_share holds out images for testing{beside}")
        taken = {"validate": "validation", "test": "test"}  # of the training images, where there is no such split
        uses = ["train", *(use for use, split in taken.items() if facts.split(split) is None)]
        small = [name for name, count in facts.train.images.items() if 0 < count < len(uses)]
        if small:
            what = f"{', '.join(uses[:-1])} and {uses[-1]}"
            said.append(f"fewer than {len(uses)} training images in {', '.join(small[:10])}: too few to {what}")
        if self.no_study:
            said.append(f"no study fits: {self.no_study}")
        return tuple(said)

    def tables(self) -> tuple[Table, ...]:
        """Splits, classes, kinds of pictures, and files with problems."""
        splits = table_of(
            "Splits",
            self.facts.splits,
            (Column(title="Split", whole=True), lambda split: split.name),
            (Column(title="Images", decimals=0), lambda split: split.count),
            (Column(title="Classes", decimals=0), lambda split: len(split.images)),
            (
                Column(title="Smallest class", key="smallest_class_images", decimals=0),
                lambda split: min(split.images.values(), default=0),
            ),
            (
                Column(title="Largest class", key="largest_class_images", decimals=0),
                lambda split: max(split.images.values(), default=0),
            ),
            (Column(title="Unreadable", key="unreadable_files", decimals=0), lambda split: len(split.problems)),
            (Column(title="Left out", key="left_out_files", decimals=0), lambda split: sum(split.left_out.values())),
            (Column(title="Hidden", key="hidden_files", decimals=0, wide=True), lambda split: split.hidden),
            (
                Column(title="Repeated", key="repeated_images", decimals=0),
                lambda split: sum(place[0] == split.name for each in self.facts.repeats for place in each.places),
            ),
        )
        names = [split.name for split in self.facts.splits]
        total = max(1, self.facts.train.count)
        classes = Table(
            title="Classes",
            columns=(
                Column(title="Class", whole=True),
                *(Column(title=name.capitalize(), key=f"{name}_images", decimals=0) for name in names),
                Column(title="Share of training", key="train_percent", unit="%", decimals=1),
            ),
            rows=tuple(
                (each, *(split.images.get(each) for split in self.facts.splits),
                 100.0 * self.facts.train.images[each] / total)
                for each in self.facts.classes
            ),
        )  # fmt: skip
        problems = Table(
            title="Unreadable files",
            columns=(Column(title="Split"), Column(title="File"), Column(title="Why")),
            rows=tuple((split.name, file, why) for split in self.facts.splits for file, why in split.problems),
        )
        repeats = table_of(
            "Images that stand more than once",
            sorted(self.facts.repeats, key=lambda each: (not each.across_splits, not each.across_classes)),
            (Column(title="Image"), lambda each: "/".join(each.places[0])),
            (Column(title="Also"), lambda each: ", ".join(map("/".join, each.places[1:]))),
        )
        return splits, classes, self._kinds(), problems, repeats

    def _guess(self) -> str:
        counts = self.facts.train.images
        largest = max(counts, key=lambda name: counts[name])
        share, chance = 100.0 * counts[largest] / max(1, self.facts.train.count), 100.0 / len(counts)
        text = (
            f"Always answering '{largest}' is right for {share:.1f} % of the training images; chance is {chance:.1f} %."
        )
        if imbalance(self.facts.train) >= SKEWED:
            text += (
                f" The largest class has {imbalance(self.facts.train):.1f} times the images of the smallest, so that"
                " accuracy misleads: the objective balanced_error_percent counts every class the same, and so does "
                "training with proxy.class_weights: balanced."
            )
        return text

    def _repeated(self) -> list[str]:
        across = sum(each.across_splits for each in self.facts.repeats)
        torn = sum(each.across_classes for each in self.facts.repeats)
        more = sum(len(each.places) - 1 for each in self.facts.repeats)
        said = [f"{plural(more, 'image')} repeat others, byte for byte"] if more else []
        if across:
            said.append(f"{plural(across, 'image')} in more than one split: accuracies come out too high")
        if torn:
            said.append(f"{plural(torn, 'image')} in more than one class")
        return said

    def _kinds(self) -> Table:
        sizes = sum((split.sizes for split in self.facts.splits), Counter[str]())
        modes = sum((split.modes for split in self.facts.splits), Counter[str]())
        shown = sizes.most_common(_MOST_SIZES)
        rest = sum(sizes.values()) - sum(number for _, number in shown)
        rows = [("size", value, number) for value, number in shown]
        rows += [("size", f"{len(sizes) - len(shown)} others", rest)] if rest else []
        rows += [("format and mode", mode, number) for mode, number in modes.most_common()]
        return Table(
            title="Pictures",
            columns=(Column(title="What"), Column(title="Value", whole=True), Column(title="Images", decimals=0)),
            rows=tuple(rows),
        )


def imbalance(split: SplitFacts) -> float:
    """How many times the images of the smallest class the largest has; 1 where no class has any."""
    counts = [count for count in split.images.values() if count]
    return max(counts) / min(counts) if counts else 1.0
