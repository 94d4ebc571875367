"""How a study reads its images, where there is a choice. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Background = Literal["white", "black"]
OnBadImage = Literal["refuse", "skip"]

RULES_FACT = "data_rules"
"""A study's stored fact that says by which rules its images are read; a study without it is older than they are."""
CURRENT_RULES = 2


@dataclass(frozen=True, kw_only=True)
class ImageRules:
    """What a study says about its images.

    Attributes:
        test_share: share of the images that is held out for testing, of every class; None: the dataset has a test split
            of its own; 0: nothing is tested.
        on_bad_image: refuse: files that are no readable images are listed, and nothing begins; skip: they are left out,
            with a count.
        background: what transparent pixels show.
        former: as studies did whose facts lack `RULES_FACT`: pictures are read at their own common size, at most 224
            pixels, and resized from there; an own validation split is not looked at; a small class may be missing in a
            split.
    """

    test_share: float | None = None
    on_bad_image: OnBadImage = "refuse"
    background: Background = "white"
    former: bool = False

    @classmethod
    def of_study(cls, config: Mapping[str, Any], facts: Mapping[str, Any]) -> ImageRules:
        """That of a stored study, from its protocol and its facts."""
        said = {key: config[key] for key in RULES_DEFAULTS if key in config}
        return cls(**said, former=RULES_FACT not in facts)


RULES_DEFAULTS: Mapping[str, Any] = {"test_share": None, "on_bad_image": "refuse", "background": "white"}
"""A study's keys of an ImageRules, each with what is done without it."""

BACKGROUNDS: Mapping[str, tuple[int, int, int]] = dict(
    zip(get_args(Background), ((255, 255, 255), (0, 0, 0)), strict=True)
)
