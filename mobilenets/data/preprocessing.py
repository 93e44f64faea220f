"""What is done to an image in evaluation and prediction, where nothing is random.

The mean and deviation are applied on the accelerator. Pixels stay uint8 until then.
With `NO_ANTIALIAS`, which torchvision computes with floats, they are float32 of 0 to
255, so that its detector finds the same boxes.
"""

import numpy as np
from PIL import Image

from mobilenets.config.schema import Preprocessing
from mobilenets.data.geometry import (
    NO_ANTIALIAS,
    Box,
    Color,
    Geometry,
    center_crop,
    centered,
    padded_to_square,
    to_square,
    whole,
)


def prepare_image(
    image: Image.Image, resolution: int, preprocessing: Preprocessing
) -> np.ndarray:
    """The image as the network is to see it, its middle or all of it.

    Returns:
      [resolution, resolution, 3] of `pixel_type`.
    """
    geometry = fit(image.width, image.height, resolution, preprocessing)
    geometry = centered(geometry, resolution)  # of an image that keeps its shape
    return shown(image, geometry, preprocessing)


def shown(
    image: Image.Image, geometry: Geometry, preprocessing: Preprocessing
) -> np.ndarray:
    """What a geometry makes of an image.

    Returns:
      [height, width, 3] of `pixel_type`.
    """
    fill = fill_color(preprocessing)
    if preprocessing.interpolation == NO_ANTIALIAS:
        return geometry.sample(image, fill)
    return np.asarray(geometry.apply(image, preprocessing.interpolation, fill))


def black(resolution: int, preprocessing: Preprocessing) -> np.ndarray:
    """What fills up the last batch: as `prepare_image` gives a black image."""
    shape = (resolution, resolution, 3)
    return np.zeros(shape, pixel_type(preprocessing))


def pixel_type(preprocessing: Preprocessing) -> np.dtype:
    """Of the pixels of an image to evaluate: uint8, or with `NO_ANTIALIAS` float32."""
    is_float = preprocessing.interpolation == NO_ANTIALIAS
    return np.dtype(np.float32 if is_float else np.uint8)


def fit(
    width: int, height: int, resolution: int, preprocessing: Preprocessing
) -> Geometry:
    """How an image is brought to the resolution; if it keeps its shape, near it.

    Args:
      width: of the image.
      height: of the image.
      resolution: of the network.
      preprocessing: says whether it is cropped.
    """
    if preprocessing.resize == "crop":
        short = round(resolution / preprocessing.crop_fraction)
        return center_crop(width, height, resolution, short)
    if preprocessing.resize == "keep":
        return whole(width, height, (width, height))
    if preprocessing.resize == "short_side":
        scale = resolution / min(width, height)
        # The long side is cut, not rounded, as in torchvision.
        w, h = (max(resolution, int(n * scale)) for n in (width, height))
        return whole(width, height, (w, h))
    return fit_box((0, 0, width, height), resolution, preprocessing)


def fit_box(box: Box, resolution: int, preprocessing: Preprocessing) -> Geometry:
    """How the whole of a box of an image is brought to the resolution."""
    fitted = padded_to_square if preprocessing.resize == "pad" else to_square
    return fitted(box, resolution)


def fill_color(preprocessing: Preprocessing) -> Color:
    """The colour around an image: the mean, which the network sees as 0."""
    red, green, blue = (min(255, max(0, round(m))) for m in preprocessing.mean)
    return red, green, blue
