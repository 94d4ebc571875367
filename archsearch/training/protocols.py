"""Training protocols: published recipes and our own, each one entry. Torch-free."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from archsearch.registry import Registry
from archsearch.training.schedules import OneCycle, ScheduleRule, Stepped
from archsearch.training.settings import ProxySettings


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a network is trained with SGD: everything but the network, the data, the seed and the device.

    Attributes:
        name: as scores carry it.
        source: where it was printed, or that it is ours.
        epochs, batch_size: as stated (or as chosen, see `notes`); both can be changed for one training.
        schedule: the rule for the learning rate. Rates are used as given: they do not scale with the batch size.
        momentum, nesterov, weight_decay: of SGD; weight decay acts on every parameter.
        label_smoothing: share of the target spread over all classes.
        crop_padding: pixels of padding before a random crop at the image's own size.
        flip: mirror half of the training images; None takes the dataset's own answer.
        notes: what the source does not state, and what was chosen instead.
    """

    name: str
    source: str
    epochs: int
    batch_size: int
    schedule: ScheduleRule
    momentum: float
    nesterov: bool
    weight_decay: float
    label_smoothing: float
    crop_padding: int
    flip: bool | None = None
    notes: tuple[str, ...] = ()

    def identity(self) -> dict[str, str | int | float | bool | None]:
        """What decides the result, as flat primitive values. Wording (`source`, `notes`) is left out."""
        facts = {key: value for key, value in asdict(self).items() if key not in ("name", "source", "notes")}
        return {"protocol": self.name, **facts, "schedule": repr(self.schedule)}


def proxy_protocol(settings: ProxySettings, *, name: str = "proxy") -> Protocol:
    """The recipe that a study's proxy settings describe."""
    return Protocol(
        name=name,
        source="archsearch",
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        schedule=OneCycle(settings.learning_rate, settings.warmup_fraction),
        momentum=settings.momentum,
        nesterov=True,
        weight_decay=settings.weight_decay,
        label_smoothing=settings.label_smoothing,
        crop_padding=settings.crop_padding,
        flip=settings.flip,
    )


_ENTRIES = (
    Protocol(
        name="shufflenetv2-s",
        source="ShuffleNetV2-s, doi 10.12677/iae.2023.114046",
        epochs=100,
        batch_size=128,
        schedule=Stepped(((70, 0.01), (90, 0.001), (100, 0.0001))),
        momentum=0.9,
        nesterov=False,
        weight_decay=5e-4,
        label_smoothing=0.0,
        crop_padding=4,
        notes=(
            "batch size not stated: 128",
            "augmentation not stated: random crop with 4 pixels of padding, and the dataset's own answer on flips",
            "Nesterov momentum and label smoothing not mentioned: neither is used",
            "input size not stated: the dataset's own",
            "whether training starts from ImageNet weights is not stated: random initial weights",
            "with another number of epochs the learning rate falls after 70% and 90% of them",
        ),
    ),
    proxy_protocol(ProxySettings(epochs=100), name="one-cycle"),
)

PROTOCOLS: Registry[Protocol] = Registry("training protocol", {entry.name: entry for entry in _ENTRIES})
