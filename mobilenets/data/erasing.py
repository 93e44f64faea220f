"""Random erasing, arXiv:1708.04896."""

import functools
import math

import numpy as np
from PIL import Image

from mobilenets.config.schema import RandomErasing
from mobilenets.data.geometry import Box
from mobilenets.data.policies import PixelChange

_ATTEMPTS = 100  # for a rectangle that fits; its shape decides, so few are needed


def draw_erasing(
    rng: np.random.Generator, operation: RandomErasing, side: int
) -> list[PixelChange]:
    """A rectangle of noise, or nothing.

    Algorithm 1 with its best filling (Sec. 4.3): each value of each pixel is uniform.
    As many numbers are drawn for an image of any size.

    Args:
      rng: of what is drawn.
      operation: how often, and which rectangles.
      side: of the image, pixels.
    """
    if rng.random() >= operation.probability:
        return []
    least, most = operation.min_area, operation.max_area
    ratio_log = math.log(operation.max_aspect_ratio)
    for _ in range(_ATTEMPTS):
        area = rng.uniform(least, most)
        ratio = math.exp(rng.uniform(-ratio_log, ratio_log))
        height, width = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if height < 1 and width < 1:  # of the side, so that any has the same draws
            height, width = (max(1, round(n * side)) for n in (height, width))
            top, left = (int(rng.random() * (side - n + 1)) for n in (height, width))
            box = (left, top, left + width, top + height)
            seed = int(rng.integers(2**63))
            return [functools.partial(_cover, box=box, seed=seed)]
    return []


def _cover(image: Image.Image, box: Box, seed: int) -> Image.Image:
    left, top, right, bottom = box
    shape = (bottom - top, right - left, 3)
    noise = np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)
    covered = image.copy()
    covered.paste(Image.fromarray(noise), (left, top))
    return covered
