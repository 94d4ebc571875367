"""Training protocols: published recipes and our own, each one entry. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from archsearch.models.spec import Spec
from archsearch.registry import Registry
from archsearch.training.schedules import OneCycle, ScheduleRule, Stepped, WarmRestarts
from archsearch.training.settings import ProxySettings

_DEFAULT, _OF_PICTURES = "one-cycle", "photos"

_LATER_KEYS: Mapping[str, float | bool | None] = {
    "dropout": None,
    "decay_vectors": True,
    "alternate_flip": False,
    "cutout": 0.0,
    "average_fraction": None,
    "least_crop_area": None,
    "colour_jitter": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a network is trained with SGD: everything but the network, the data, the seed and the device.

    Attributes:
        name: as scores carry it.
        source: where it was printed, or that it is ours.
        epochs, batch_size: as stated (or as chosen, see `notes`); both can be changed for one training.
        schedule: the rule for the learning rate. Rates are used as given: they do not scale with the batch size.
        momentum, nesterov, weight_decay: of SGD.
        decay_vectors: whether weight decay acts on every parameter, as plain SGD does; False: not on biases nor on the
            scales and shifts of normalisations.
        label_smoothing: share of the target spread over all classes.
        crop_padding: pixels of padding before a random crop at the image's own size.
        flip: mirror half of the training images; None takes the dataset's own answer.
        dropout: share of features dropped before the last linear layer, in families that have the choice
            `head.dropout`; None leaves what the network has.
        alternate_flip: mirror each image in every other epoch instead of by chance in each.
        cutout: side of the square that is blanked in each training image, as a share of the image's side; 0: none.
        average_fraction: memory of the moving average of the weights that is scored and kept, as a share of all steps;
            None: the weights of the last step are.
        least_crop_area: least share of an image's area that a random resized crop shows, in place of the crop at the
            image's own size; None: no resized crop.
        colour_jitter: by how much brightness, contrast and saturation of a training image change at most; 0: not.
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
    dropout: float | None = None
    decay_vectors: bool = True
    alternate_flip: bool = False
    cutout: float = 0.0
    average_fraction: float | None = None
    least_crop_area: float | None = None
    colour_jitter: float = 0.0
    notes: tuple[str, ...] = ()

    def cutout_pixels(self, input_size: int) -> int:
        """Side of the blanked square in images of this size (pixels)."""
        return round(self.cutout * input_size)

    def as_trained(self, spec: Spec) -> Spec:
        """The network with this dropout, which changes no weight and no inference."""
        if self.dropout is None or "head.dropout" not in spec.choices():
            return spec
        return spec.with_choices({"head.dropout": self.dropout})

    def identity(self) -> dict[str, str | int | float | bool | None]:
        """What decides the result, as flat primitive values. Wording (`source`, `notes`) is left out."""
        facts = {key: value for key, value in asdict(self).items() if key not in ("name", "source", "notes")}
        for key, plain in _LATER_KEYS.items():  # trainings of before there was the key
            if facts[key] == plain:
                del facts[key]
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


_LDC_SOURCE = "LDC paper (low-cost deformable convolution in MobileNetV3-small), doi 10.11896/jsjkx.211200036, table 4"
_LDC_NOTES = (
    "batch size not stated: 128",
    "weight decay not stated: 5e-4; momentum not stated: 0.9",
    "augmentation not stated: random crop with 4 pixels of padding, and the dataset's own answer on flips",
    "whether the rate changes after each epoch or each step is not stated: after each epoch",
    "with another number of epochs the periods are as near to 5 epochs as lets the last one end with the training",
)


def _ldc(name: str, *, rate: float, dropout: float, notes: tuple[str, ...]) -> Protocol:
    return Protocol(
        name=name,
        source=_LDC_SOURCE,
        epochs=100,
        batch_size=128,
        schedule=WarmRestarts(rate, period_epochs=5),
        momentum=0.9,
        nesterov=False,
        weight_decay=5e-4,
        label_smoothing=0.0,
        crop_padding=4,
        dropout=dropout,
        notes=(*notes, *_LDC_NOTES),
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
    _ldc("ldc-cifar", rate=0.05, dropout=0.25, notes=("input size on CIFAR not stated: the dataset's own",)),
    _ldc("ldc-caltech", rate=0.1, dropout=0.0, notes=("written for Caltech-256 (folder:PATH) at 224x224",)),
    proxy_protocol(ProxySettings(epochs=100), name="one-cycle"),
    Protocol(
        name="modern",
        source="archsearch",
        epochs=100,
        batch_size=64,
        schedule=OneCycle(0.05),
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        label_smoothing=0.1,
        crop_padding=4,
        decay_vectors=False,
        alternate_flip=True,
        average_fraction=0.01,
        notes=("rate and batch size chosen on 5,000 images of CIFAR-10 in 20 epochs, x0.5 (docs/training.md)",),
    ),
    Protocol(
        name="photos",
        source="ShuffleNetV2's authors' training on ImageNet, github.com/megvii-model/ShuffleNet-Series, shortened",
        epochs=30,
        batch_size=64,
        schedule=OneCycle(0.03, warmup_fraction=0.1),
        momentum=0.9,
        nesterov=False,
        weight_decay=4e-5,
        label_smoothing=0.1,
        crop_padding=0,
        decay_vectors=False,
        least_crop_area=0.25,
        colour_jitter=0.4,
        notes=(
            "30 epochs for 240; the rate falls linearly to zero, as there",
            "rate 0.5 for a batch of 1024 there, scaled to a batch of 64 by the linear rule (arXiv 1706.02677)",
            "the rate rises in the first 10% of the steps, so that weights taken from elsewhere are not thrown away",
            "crops show 25% of the area at least, not 8%: few epochs, small networks and images of the input size",
        ),
    ),
)

PROTOCOLS: Registry[Protocol] = Registry("training protocol", {entry.name: entry for entry in _ENTRIES})


def protocol_for(dataset: str, name: str | None = None) -> Protocol:
    """The protocol of this name; without one what `retrain` takes: the best of three on CIFAR-100 (docs/training.md).

    For a folder of pictures that is `photos`: the other one's rate is too high there. Raises UnknownNameError.
    """
    return PROTOCOLS[name or (_OF_PICTURES if dataset.startswith("folder:") else _DEFAULT)]
