"""Random changes of the training images: crops, flips, colours, policies, erasing.

All are drawn first, in the order of the configuration: the geometric ones together make
one `Geometry`, so that an image is resampled once and its boxes go where it goes. The
others change the pixels of the result, one after the other. Pixels are uint8; the mean
and deviation are applied on the accelerator. What acts on batches is in `mixing` and
`pipeline`.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mobilenets.config.schema import (
    AutoAugment,
    ColorJitter,
    Expand,
    Flip,
    Operation,
    Preprocessing,
    RandAugment,
    RandomCrop,
    RandomErasing,
    ScaleCrop,
    SsdCrop,
    TrivialAugment,
)
from mobilenets.data.boxes import NO_BOXES, Boxes, seen
from mobilenets.data.erasing import draw_erasing
from mobilenets.data.geometry import Box, Geometry, centered
from mobilenets.data.masks import UNLABELLED
from mobilenets.data.pixel_operations import enhance
from mobilenets.data.policies import (
    PixelChange,
    draw_auto_augment,
    draw_rand_augment,
    draw_trivial_augment,
)
from mobilenets.data.preprocessing import fill_color, fit, fit_box
from mobilenets.data.quick import Undecoded, show
from mobilenets.data.ssd_operations import draw_canvas, draw_ssd_crop


def augment(
    image: Image.Image | Undecoded,
    rng: np.random.Generator,
    resolution: int,
    operations: Sequence[Operation],
    preprocessing: Preprocessing,
) -> np.ndarray:
    """The image randomly changed; without a random crop it is cut as in evaluation.

    Returns:
      [resolution, resolution, 3] uint8.
    """
    change = _draw(image, NO_BOXES, rng, resolution, operations, preprocessing)
    return change.apply(image, preprocessing)


def augment_with_boxes(
    image: Image.Image | Undecoded,
    boxes: Boxes,
    rng: np.random.Generator,
    resolution: int,
    operations: Sequence[Operation],
    preprocessing: Preprocessing,
) -> tuple[np.ndarray, Boxes]:
    """As `augment`, and where the boxes are after that; see `boxes.seen`.

    Args:
      image: upright.
      boxes: in its pixels.
      rng: of what is drawn.
      resolution: of the network.
      operations: drawn in this order.
      preprocessing: of the network.

    Returns:
      [resolution, resolution, 3] uint8, and boxes as fractions of it.
    """
    change = _draw(image, boxes, rng, resolution, operations, preprocessing)
    return change.apply(image, preprocessing), seen(boxes, change.geometry)


def augment_with_mask(
    image: Image.Image | Undecoded,
    mask: np.ndarray,
    rng: np.random.Generator,
    resolution: int,
    operations: Sequence[Operation],
    preprocessing: Preprocessing,
) -> tuple[np.ndarray, np.ndarray]:
    """As `augment`, and the classes of the pixels after that.

    Args:
      image: upright.
      mask: its classes, [H, W] uint8.
      rng: of what is drawn.
      resolution: of the network.
      operations: drawn in this order.
      preprocessing: of the network.

    Returns:
      [resolution, resolution, 3] and [resolution, resolution] uint8; `UNLABELLED` where
      there is no image.
    """
    change = _draw(image, NO_BOXES, rng, resolution, operations, preprocessing)
    moved = change.geometry.apply_to_mask(mask, UNLABELLED)
    return change.apply(image, preprocessing), moved


@dataclasses.dataclass(frozen=True)
class _Change:
    """All that was drawn for one image."""

    geometry: Geometry
    pixel_changes: list[PixelChange]

    def apply(
        self, image: Image.Image | Undecoded, preprocessing: Preprocessing
    ) -> np.ndarray:
        fill = fill_color(preprocessing)
        pixels = show(image, self.geometry, preprocessing.interpolation, fill)
        if not self.pixel_changes:
            return pixels
        shown = Image.fromarray(pixels)
        for change in self.pixel_changes:
            shown = change(shown)
        return np.asarray(shown)


def _draw(
    image: Image.Image | Undecoded,
    boxes: Boxes,
    rng: np.random.Generator,
    resolution: int,
    operations: Sequence[Operation],
    preprocessing: Preprocessing,
) -> _Change:
    geometry = fit(image.width, image.height, resolution, preprocessing)
    geometry = centered(geometry, resolution)  # of an image that keeps its shape
    pixel_changes: list[PixelChange] = []

    def show(box: Box) -> Geometry:
        """Another box than what is shown in evaluation."""
        shown = fit_box(box, resolution, preprocessing)
        return dataclasses.replace(shown, mirrored=geometry.mirrored)

    for operation in operations:
        match operation:
            case RandomCrop():
                geometry = show(_draw_crop(geometry.box, rng, operation))
            case Expand():
                geometry = show(draw_canvas(geometry.box, rng, operation))
            case SsdCrop():
                geometry = show(draw_ssd_crop(geometry.box, boxes, rng, operation))
            case ScaleCrop():
                geometry = _draw_window(geometry, rng, operation, resolution)
            case Flip():
                geometry = _draw_flip(geometry, rng)
            case ColorJitter():
                pixel_changes += _draw_colors(rng, operation)
            case AutoAugment():
                pixel_changes += draw_auto_augment(rng, operation, resolution)
            case RandAugment():
                pixel_changes += draw_rand_augment(rng, operation, resolution)
            case TrivialAugment():
                pixel_changes += draw_trivial_augment(rng, resolution)
            case RandomErasing():
                pixel_changes += draw_erasing(rng, operation, resolution)
    return _Change(geometry, pixel_changes)


def random_box(
    width: int, height: int, rng: np.random.Generator, crop: RandomCrop
) -> Box:
    """A box of random area, aspect ratio and place.

    Ten draws are made for one that fits into the image; if none does, it is the largest
    centred box whose aspect ratio is in the range.
    """
    largest_log = math.log(crop.max_aspect_ratio)
    for _ in range(10):
        area = rng.uniform(crop.min_area, 1.0) * width * height
        ratio = math.exp(rng.uniform(-largest_log, largest_log))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            return int(left), int(top), int(left) + w, int(top) + h
    w = min(width, round(height * crop.max_aspect_ratio))
    h = min(height, round(width * crop.max_aspect_ratio))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _draw_crop(box: Box, rng: np.random.Generator, crop: RandomCrop) -> Box:
    """A random part of a box."""
    left, top, right, bottom = box
    part = random_box(right - left, bottom - top, rng, crop)
    return left + part[0], top + part[1], left + part[2], top + part[3]


def _draw_window(
    geometry: Geometry, rng: np.random.Generator, crop: ScaleCrop, side: int
) -> Geometry:
    """A window somewhere in the image after a change of size, or around it."""
    scale = rng.uniform(crop.min_scale, crop.max_scale)
    w, h = (max(1, round(n * scale)) for n in geometry.size)
    left, top = (_draw_start(n, side, rng) for n in (w, h))
    window = left, top, left + side, top + side
    return dataclasses.replace(geometry, size=(w, h), window=window)


def _draw_start(length: int, side: int, rng: np.random.Generator) -> int:
    """Where a window begins that lies within a length, or the length within it."""
    room = length - side
    return int(rng.integers(min(room, 0), max(room, 0) + 1))


def _draw_flip(geometry: Geometry, rng: np.random.Generator) -> Geometry:
    """Mirrored, in half of all draws."""
    return dataclasses.replace(geometry, mirrored=bool(rng.random() < 0.5))


def _draw_colors(rng: np.random.Generator, jitter: ColorJitter) -> list[PixelChange]:
    """Brightness, contrast, saturation and hue by random amounts, in random order."""

    def blend(kind: str, amount: float) -> PixelChange:
        factor = rng.uniform(max(0.0, 1 - amount), 1 + amount)
        return functools.partial(enhance, kind=kind, factor=factor)

    def rotate_hue(amount: float) -> PixelChange:
        return functools.partial(_rotate_hue, fraction=rng.uniform(-amount, amount))

    draws = (
        (jitter.brightness, functools.partial(blend, "Brightness")),
        (jitter.contrast, functools.partial(blend, "Contrast")),
        (jitter.saturation, functools.partial(blend, "Color")),
        (jitter.hue, rotate_hue),
    )
    order = (draws[i] for i in rng.permutation(len(draws)))
    return [
        draw(amount)
        for amount, draw in order
        if amount and (jitter.probability == 1 or rng.random() < jitter.probability)
    ]


def _rotate_hue(image: Image.Image, fraction: float) -> Image.Image:
    """Turns every pixel's hue by a fraction of the circle."""
    hsv = np.array(image.convert("HSV"))
    hsv[..., 0] += np.uint8(round(fraction * 256) % 256)  # wraps around, as a hue does
    return Image.fromarray(hsv, "HSV").convert("RGB")
