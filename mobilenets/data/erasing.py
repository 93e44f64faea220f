"""Random erasing, arXiv:1708.04896."""

import functools
import math

import numpy as np
from PIL import Image

from mobilenets.config.schema import RandomErasing
from mobilenets.data.policies import PixelChange

_ATTEMPTS = 100  # for a rectangle that fits; its shape decides, so few are needed


def draw_erasing(
    rng: np.random.Generator, operation: RandomErasing, side: int
) -> list[PixelChange]:
    """A rectangle of noise, or nothing.

    Algorithm 1 with its best filling (Sec. 4.3): each value of each pixel is uniform.

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
        area = rng.uniform(least, most) * side * side
        ratio = math.exp(rng.uniform(-ratio_log, ratio_log))
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < height < side and 0 < width < side:
            top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
            noise = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
            return [functools.partial(_cover, noise=noise, place=(int(left), int(top)))]
    return []


def _cover(
    image: Image.Image, noise: np.ndarray, place: tuple[int, int]
) -> Image.Image:
    covered = image.copy()
    covered.paste(Image.fromarray(noise), place)
    return covered
