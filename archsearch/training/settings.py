"""What a study may say about its proxy training. Torch-free: a study file is checked before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, cast

from pydantic import BaseModel, ConfigDict, Field

from archsearch.records import LARGEST_INPUT

Precision = Literal["fp32", "bf16"]
"""float32 throughout; or bfloat16 autocast in training steps, where that is faster. Scoring is in float32."""

ClassWeights = Literal["none", "balanced"]
"""How much an image of each class counts in the loss."""


def former_precision(device: str) -> Precision:
    """What all trainings used before it could be said: those of a stored study or state that names none."""
    return "bf16" if device.partition(":")[0] == "cuda" else "fp32"


def settled_precision(protocol: Mapping[str, Any], facts: Mapping[str, Any], device: str) -> Precision:
    """The one precision of a stored study's trainings.

    Args:
        protocol: the study's, as stored; `proxy.precision` may be `auto`, or missing in an old one.
        facts: of the study as stored; `proxy_precision` is what `auto` came out as when the study was begun.
        device: of its workers.
    """
    said = protocol.get("proxy", {}).get("precision", "auto")
    if said == "auto":
        said = facts.get("proxy_precision", former_precision(device))
    return cast(Precision, said)


class SplitOptions(TypedDict):
    """What `Dataset.split` is told of a study's images."""

    validation_images: int
    train_images: int | None
    seed: int
    fresh: bool


class ProxySettings(BaseModel):
    """The short training that ranks architectures: a complete one-cycle schedule, annealed to zero.

    A short schedule that ends at zero ranks better than a long one cut off (NAS-Bench-201: 12 complete epochs rank
    like 200 with about 0.9, the first 12 of 200 with 0.77). Weight decay acts on every parameter, normalisation and
    biases included, as plain SGD does in the family's published recipes. The peak learning rate is for the default
    batch size of 128 and is used as given: it is not scaled when the batch size is changed.

    Attributes:
        epochs, batch_size: passes over the training images, and images a step.
        learning_rate: the peak of the one-cycle schedule.
        momentum, weight_decay: of SGD with Nesterov momentum.
        label_smoothing: share of the target spread over all classes.
        warmup_fraction: share of all steps in which the rate rises to its peak.
        class_weights: balanced: every class counts the same in the loss, however few images it has; none: every image.
        crop_padding: pixels of padding before a random crop at the image's own size.
        flip: mirror half of the training images; None takes the dataset's own answer.
        train_images: how many images to train on, each class in its share and with one at least; None takes all that
            remain.
        validation_images: how many training images are kept back to score on, in the same way; where the dataset has
            validation images of its own, at most so many of them.
        fresh_images: validate on other images than a study does without it, which are trained on instead: for looking
            again at networks that were chosen by their scores (`archsearch confirm --fresh-images`).
        input_size: height and width that the network sees (pixels); None takes the dataset's own.
        precision: of the training steps; all trainings of a study share one. `auto`: bf16 on a GPU that has it; on a
            CPU what trained faster in a short trial when the study was begun (`archsearch.search.precision`).
        initial_weights: how they follow from a trial's seed. by_name: each parameter's from the seed and its name, so
            that networks share those of all layers that they share; in_order: one after the other, as before there was
            a choice. auto: by_name, and in a study that was begun before, in_order.
        chunk_steps: training steps between two chances for a latency measurement to take the device; no effect on
            the result. None is 1 on a CPU and 10 on a GPU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=128, ge=2)
    learning_rate: float = Field(default=0.2, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    warmup_fraction: float = Field(default=0.2, ge=0, lt=1)
    class_weights: ClassWeights = "none"
    crop_padding: int = Field(default=4, ge=0)
    flip: bool | None = None
    train_images: int | None = Field(default=None, ge=1)
    validation_images: int = Field(default=5000, ge=1)
    fresh_images: bool = False
    input_size: int | None = Field(default=None, ge=8, le=LARGEST_INPUT)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    initial_weights: Literal["auto", "by_name", "in_order"] = "auto"
    chunk_steps: int | None = Field(default=None, ge=1)

    @property
    def split(self) -> SplitOptions:
        """Which images it trains and scores on.

        That is part of what a study's accuracies mean: one split for all seeds, so that seeds can be compared.
        """
        return {
            "validation_images": self.validation_images,
            "train_images": self.train_images,
            "seed": 0,
            "fresh": self.fresh_images,
        }

    def input_size_for(self, image_size: int) -> int:
        """Height and width that the network sees (pixels) of images of this size."""
        return self.input_size or image_size


def weights_by_name(stored: Mapping[str, Any]) -> bool:
    """Whether a study draws initial weights by name, from its stored `proxy`, which may be older than the choice."""
    return bool(stored.get("initial_weights", "in_order") != "in_order")
