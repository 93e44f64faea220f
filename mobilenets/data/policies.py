"""AutoAugment, RandAugment and TrivialAugment: their published tables, and draws.

A policy chooses operations and levels. A scale says what a level means for each
operation; sources differ in that, so each scale has the name of its source.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from mobilenets.config.schema import AutoAugment, RandAugment
from mobilenets.data.pixel_operations import OPERATIONS, cutout

PixelChange = Callable[[Image.Image], Image.Image]


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that an operation takes, from level 0 to the highest.

    Args:
      start: at level 0.
      end: at the highest level; extrapolated beyond it.
      signed: whether it is added to `around` or subtracted, each in half of all draws.
      around: what it is added to.
      of_side: whether it is a fraction of the image's side.
      rounded: makes it whole, where it must be.
    """

    start: float
    end: float
    signed: bool = False
    around: float = 0.0
    of_side: bool = False
    rounded: Callable[[float], float] = float

    def at(self, part: float, sign: int, side: int) -> float:
        """The number for an image.

        Args:
          part: level / highest level.
          sign: 1 or -1.
          side: of the image, pixels.
        """
        number = self.rounded(self.start + (self.end - self.start) * part)
        unit = side if self.of_side else 1
        return self.around + (sign if self.signed else 1) * number * unit


@dataclasses.dataclass(frozen=True)
class Scale:
    """The operations of a source, and what a level means for each.

    Args:
      top: the highest level of the ranges.
      ranges: by the names of `OPERATIONS` or "Cutout"; None takes no number.
    """

    top: float
    ranges: Mapping[str, Range | None]


def _with_sign(end: float, **values: float | bool) -> Range:
    return Range(0.0, end, signed=True, **values)  # type: ignore[arg-type]


_ENHANCED = ("Color", "Contrast", "Brightness", "Sharpness")

# tensorflow/tpu, efficientnet/autoaugment.py, `distort_image_with_randaugment`: cutout
# and translations are pixels, whatever the image's size. Levels beyond 10 are used (17
# for B5, 28 for B7); posterize and solarize then change nothing.
EFFICIENTNET = Scale(
    top=10.0,
    ranges={
        "AutoContrast": None,
        "Equalize": None,
        "Invert": None,
        "Rotate": _with_sign(30.0),
        "Posterize": Range(0.0, 4.0, rounded=math.floor),
        "Solarize": Range(0.0, 256.0, rounded=math.floor),
        **dict.fromkeys(_ENHANCED, Range(0.1, 1.9)),
        "ShearX": _with_sign(0.3),
        "ShearY": _with_sign(0.3),
        "TranslateX": _with_sign(100.0),
        "TranslateY": _with_sign(100.0),
        "Cutout": Range(0.0, 40.0, rounded=math.floor),
        "SolarizeAdd": Range(0.0, 110.0, rounded=math.floor),
    },
)

# timm's "increasing" operations (rand-mM-nN-inc1): a higher level always changes more.
TIMM = Scale(
    top=10.0,
    ranges={
        "AutoContrast": None,
        "Equalize": None,
        "Invert": None,
        "Rotate": _with_sign(30.0),
        "Posterize": Range(4.0, 0.0, rounded=math.ceil),
        "Solarize": Range(256.0, 0.0, rounded=math.ceil),
        "SolarizeAdd": Range(0.0, 110.0, rounded=math.floor),
        **dict.fromkeys(_ENHANCED, _with_sign(0.9, around=1.0)),
        "ShearX": _with_sign(0.3),
        "ShearY": _with_sign(0.3),
        "TranslateX": _with_sign(0.45, of_side=True),
        "TranslateY": _with_sign(0.45, of_side=True),
    },
)

# TrivialAugment, arXiv:2103.10158, Table 1 ("wide"), with 31 levels.
WIDE = Scale(
    top=30.0,
    ranges={
        "Identity": None,
        "ShearX": _with_sign(0.99),
        "ShearY": _with_sign(0.99),
        "TranslateX": _with_sign(32.0),
        "TranslateY": _with_sign(32.0),
        "Rotate": _with_sign(135.0),
        **dict.fromkeys(_ENHANCED, _with_sign(0.99, around=1.0)),
        "Posterize": Range(8.0, 2.0, rounded=round),
        "Solarize": Range(255.0, 0.0),
        "AutoContrast": None,
        "Equalize": None,
    },
)

# The ranges of AutoAugment's paper, Table 6, with 10 levels, in the direction that
# torchvision gives them: a higher level changes more.
_ORIGINAL = Scale(
    top=9.0,
    ranges={
        "ShearX": _with_sign(0.3),
        "Rotate": _with_sign(30.0),
        **dict.fromkeys(_ENHANCED, _with_sign(0.9, around=1.0)),
        "Posterize": Range(8.0, 4.0, rounded=round),
        "Solarize": Range(255.0, 0.0),
        "AutoContrast": None,
        "Equalize": None,
        "Invert": None,
    },
)

# EfficientNet's code moves by up to 250 pixels, whatever the image's size, so that
# nothing would be left of one of 224. The paper's range is 150 of 331 pixels.
_V0 = dataclasses.replace(
    EFFICIENTNET,
    ranges={**EFFICIENTNET.ranges, "TranslateY": _with_sign(150 / 331, of_side=True)},
)

RAND_AUGMENT_SCALES = {"efficientnet": EFFICIENTNET, "timm": TIMM}

# An operation, its probability and its level.
Step = tuple[str, float, int]
SubPolicy = tuple[Step, Step]

# fmt: off
# tensorflow/tpu, efficientnet/autoaugment.py, `policy_v0`: what EfficientNet is trained
# with.
V0: tuple[SubPolicy, ...] = (
    (("Equalize", 0.8, 1), ("ShearY", 0.8, 4)),
    (("Color", 0.4, 9), ("Equalize", 0.6, 3)),
    (("Color", 0.4, 1), ("Rotate", 0.6, 8)),
    (("Solarize", 0.8, 3), ("Equalize", 0.4, 7)),
    (("Solarize", 0.4, 2), ("Solarize", 0.6, 2)),
    (("Color", 0.2, 0), ("Equalize", 0.8, 8)),
    (("Equalize", 0.4, 8), ("SolarizeAdd", 0.8, 3)),
    (("ShearX", 0.2, 9), ("Rotate", 0.6, 8)),
    (("Color", 0.6, 1), ("Equalize", 1.0, 2)),
    (("Invert", 0.4, 9), ("Rotate", 0.6, 0)),
    (("Equalize", 1.0, 9), ("ShearY", 0.6, 3)),
    (("Color", 0.4, 7), ("Equalize", 0.6, 0)),
    (("Posterize", 0.4, 6), ("AutoContrast", 0.4, 7)),
    (("Solarize", 0.6, 8), ("Color", 0.6, 9)),
    (("Solarize", 0.2, 4), ("Rotate", 0.8, 9)),
    (("Rotate", 1.0, 7), ("TranslateY", 0.8, 9)),
    (("ShearX", 0.0, 0), ("Solarize", 0.8, 4)),
    (("ShearY", 0.8, 0), ("Color", 0.6, 4)),
    (("Color", 1.0, 0), ("Rotate", 0.6, 2)),
    (("Equalize", 0.8, 4), ("Equalize", 0.0, 8)),
    (("Equalize", 1.0, 4), ("AutoContrast", 0.6, 2)),
    (("ShearY", 0.4, 7), ("SolarizeAdd", 0.6, 7)),
    (("Posterize", 0.8, 2), ("Solarize", 0.6, 10)),
    (("Solarize", 0.6, 8), ("Equalize", 0.6, 1)),
    (("Color", 0.8, 6), ("Rotate", 0.4, 5)),
)

# AutoAugment, arXiv:1805.09501, Table 9: the policy found on ImageNet.
ORIGINAL: tuple[SubPolicy, ...] = (
    (("Posterize", 0.4, 8), ("Rotate", 0.6, 9)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 5)),
    (("Equalize", 0.8, 8), ("Equalize", 0.6, 3)),
    (("Posterize", 0.6, 7), ("Posterize", 0.6, 6)),
    (("Equalize", 0.4, 7), ("Solarize", 0.2, 4)),
    (("Equalize", 0.4, 4), ("Rotate", 0.8, 8)),
    (("Solarize", 0.6, 3), ("Equalize", 0.6, 7)),
    (("Posterize", 0.8, 5), ("Equalize", 1.0, 2)),
    (("Rotate", 0.2, 3), ("Solarize", 0.6, 8)),
    (("Equalize", 0.6, 8), ("Posterize", 0.4, 6)),
    (("Rotate", 0.8, 8), ("Color", 0.4, 0)),
    (("Rotate", 0.4, 9), ("Equalize", 0.6, 2)),
    (("Equalize", 0.0, 7), ("Equalize", 0.8, 8)),
    (("Invert", 0.6, 4), ("Equalize", 1.0, 8)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Rotate", 0.8, 8), ("Color", 1.0, 2)),
    (("Color", 0.8, 8), ("Solarize", 0.8, 7)),
    (("Sharpness", 0.4, 7), ("Invert", 0.6, 8)),
    (("ShearX", 0.6, 5), ("Equalize", 1.0, 9)),
    (("Color", 0.4, 0), ("Equalize", 0.6, 3)),
    (("Equalize", 0.4, 7), ("Solarize", 0.2, 4)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 5)),
    (("Invert", 0.6, 4), ("Equalize", 1.0, 8)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Equalize", 0.8, 8), ("Equalize", 0.6, 3)),
)
# fmt: on

POLICIES = {"v0": (V0, _V0), "original": (ORIGINAL, _ORIGINAL)}


def draw_auto_augment(
    rng: np.random.Generator, operation: AutoAugment, side: int
) -> list[PixelChange]:
    """One of the 25 sub-policies, each of its two steps with its probability.

    Args:
      rng: of what is drawn.
      operation: the policy.
      side: of the image, pixels.
    """
    policy, scale = POLICIES[operation.policy]
    return [
        draw_change(name, level, scale, rng, side)
        for name, probability, level in policy[rng.integers(len(policy))]
        if rng.random() < probability
    ]


def draw_rand_augment(
    rng: np.random.Generator, operation: RandAugment, side: int
) -> list[PixelChange]:
    """Some operations, each drawn uniformly, all at one level.

    Args:
      rng: of what is drawn.
      operation: how many, and the level.
      side: of the image, pixels.
    """
    scale = RAND_AUGMENT_SCALES[operation.scale]
    names = list(scale.ranges)
    return [
        draw_change(
            names[rng.integers(len(names))], operation.magnitude, scale, rng, side
        )
        for _ in range(operation.layers)
        if operation.probability == 1 or rng.random() < operation.probability
    ]


def draw_trivial_augment(rng: np.random.Generator, side: int) -> list[PixelChange]:
    """One operation at one level, both drawn uniformly.

    Args:
      rng: of what is drawn.
      side: of the image, pixels.
    """
    names = list(WIDE.ranges)
    name, level = names[rng.integers(len(names))], rng.integers(int(WIDE.top) + 1)
    return [draw_change(name, float(level), WIDE, rng, side)]


def draw_change(
    name: str, level: float, scale: Scale, rng: np.random.Generator, side: int
) -> PixelChange:
    """An operation with its number.

    Args:
      name: of the operation.
      level: by which the scale has a number for it.
      scale: that has the operation.
      rng: of signs and places.
      side: of the image, pixels.
    """
    by = scale.ranges[name]
    if by is None:
        return functools.partial(_apply, name=name, number=0.0)
    sign = (1 if rng.random() < 0.5 else -1) if by.signed else 1
    number = by.at(level / scale.top, sign, side)
    if name == "Cutout":
        column, row = (int(part * side) for part in rng.random(2))
        return functools.partial(cutout, half_side=number, center=(column, row))
    return functools.partial(_apply, name=name, number=number)


def _apply(image: Image.Image, name: str, number: float) -> Image.Image:
    return OPERATIONS[name](image, number)
