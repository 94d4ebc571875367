"""Learning curves as TensorBoard event files (extra `tensorboard`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.errors import ConfigError
from archsearch.records import Epoch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def writer_type() -> type[SummaryWriter]:
    """TensorBoard's writer of event files. Raises ConfigError without the extra `tensorboard`."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            f"TensorBoard event files cannot be written: {error}", hint="pip install 'archsearch[tensorboard]'"
        ) from error
    return SummaryWriter


class EventFile:
    """The curve of one training as one TensorBoard event file, in a folder of its own; a step is an epoch.

    A training that goes on writes the file anew with the epochs done before, so that no epoch is missing or twice,
    however the one before ended.

    Args:
        folder: made if it is not there; older event files in it are removed.
        curve: the epochs done before.
        split: that its accuracies are of.

    Raises ConfigError without the extra `tensorboard`.
    """

    def __init__(self, folder: Path, curve: tuple[Epoch, ...] = (), *, split: str = "test") -> None:
        writer = writer_type()
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink(missing_ok=True)
        self._writer = writer(str(folder))
        self._split = split
        for point in curve:
            self.add(point)

    def add(self, point: Epoch) -> None:
        """Write one epoch, and have it on the disk."""
        values = {
            "loss/train": point.train_loss,
            f"top1_percent/{self._split}": point.top1_percent,
            "learning_rate": point.learning_rate,
            "train_seconds": point.train_seconds,
        }
        for name, value in values.items():
            self._writer.add_scalar(name, value, point.epoch)
        self._writer.flush()

    def add_table(self, choices: Mapping[str, Any], reached: Mapping[str, float]) -> None:
        """What TensorBoard's table of runs (HPARAMS) shows: choices, and the values that they reached."""
        self._writer.add_hparams(dict(choices), dict(reached), run_name=".")

    def close(self) -> None:
        """No epoch follows."""
        self._writer.close()
