"""The operations of AutoAugment and its successors on images of uint8.

Each takes an image and one number, which some ignore. They are those of Pillow that
the search for AutoAugment used; its paper, arXiv:1805.09501, lists them in Table 6.
What moves or turns an image takes the nearest pixel and fills up with grey, as
EfficientNet's code does. timm interpolates, and fills with the mean.
"""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mobilenets.data.geometry import Color

GREY: Color = (128, 128, 128)  # of what is not in the image
_HALF = 128  # below it solarize_add adds

PixelOperation = Callable[[Image.Image, float], Image.Image]
Matrix = tuple[float, float, float, float, float, float]


def enhance(image: Image.Image, factor: float, kind: str) -> Image.Image:
    """A blend with an image that lacks something; 1 changes nothing.

    Args:
      image: in RGB.
      factor: beyond 1 it exaggerates.
      kind: "Brightness" (black lacks it), "Contrast" (its mean grey), "Color" (it
        without colour) or "Sharpness" (it smoothed).
    """
    return getattr(ImageEnhance, kind)(image).enhance(factor)


def posterize(image: Image.Image, bits: float) -> Image.Image:
    """Keeps that many upper bits of each value; 0 makes the image black."""
    lost = 2 ** max(8 - int(bits), 0)
    return image.point([value // lost * lost for value in range(256)] * 3)


def solarize_add(image: Image.Image, addition: float) -> Image.Image:
    """Adds a number to all values below 128."""
    values = np.arange(256)
    values = np.where(values < _HALF, np.minimum(values + int(addition), 255), values)
    return image.point(values.tolist() * 3)


def cutout(
    image: Image.Image, half_side: float, center: tuple[int, int]
) -> Image.Image:
    """Covers a square with grey, arXiv:1708.04552.

    Args:
      image: in RGB.
      half_side: half the side of the square, in pixels.
      center: column and row of its middle; a part of it may be outside the image.
    """
    reach = int(half_side)
    (left, right), (top, bottom) = ((c - reach, c + reach) for c in center)
    covered = image.copy()
    covered.paste(GREY, (max(left, 0), max(top, 0), right, bottom))
    return covered


def _rotate(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, fillcolor=GREY)


def _moved(image: Image.Image, matrix: Matrix) -> Image.Image:
    """With the pixel at a x + b y + c, d x + e y + f of the image at each x, y."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=GREY)


def _enhancing(kind: str) -> PixelOperation:
    return lambda image, factor: enhance(image, factor, kind)


# By the names of the published policies. The number is in degrees (Rotate), pixels
# (translations) or pixels per pixel of the other side (shears), or it is a factor of
# `enhance`, a number of bits or a threshold. (Cutout, which needs a place as well, is
# no entry.)
OPERATIONS: dict[str, PixelOperation] = {
    "Identity": lambda image, _: image,
    "AutoContrast": lambda image, _: ImageOps.autocontrast(image),
    "Equalize": lambda image, _: ImageOps.equalize(image),
    "Invert": lambda image, _: ImageOps.invert(image),
    "Posterize": posterize,
    "Solarize": lambda image, threshold: ImageOps.solarize(image, math.ceil(threshold)),
    "SolarizeAdd": solarize_add,
    **{k: _enhancing(k) for k in ("Color", "Contrast", "Brightness", "Sharpness")},
    "Rotate": _rotate,
    "ShearX": lambda image, shear: _moved(image, (1, shear, 0, 0, 1, 0)),
    "ShearY": lambda image, shear: _moved(image, (1, 0, 0, shear, 1, 0)),
    "TranslateX": lambda image, pixels: _moved(image, (1, 0, pixels, 0, 1, 0)),
    "TranslateY": lambda image, pixels: _moved(image, (1, 0, 0, 0, 1, pixels)),
}
