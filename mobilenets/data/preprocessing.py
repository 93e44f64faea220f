"""What is done to an image in evaluation and prediction, where nothing is random.

Pixels stay uint8; the mean and deviation are applied on the accelerator.
"""

import numpy as np
from PIL import Image

from mobilenets.config.schema import Preprocessing
from mobilenets.data.geometry import Geometry, center_crop, to_square


def prepare_image(
    image: Image.Image, resolution: int, preprocessing: Preprocessing
) -> np.ndarray:
    """The image as the network is to see it, its middle or all of it.

    Returns:
      [resolution, resolution, 3] uint8.
    """
    geometry = fit(image.width, image.height, resolution, preprocessing)
    return np.asarray(geometry.apply(image, preprocessing.interpolation))


def fit(
    width: int, height: int, resolution: int, preprocessing: Preprocessing
) -> Geometry:
    """How an image is brought to the resolution.

    Args:
      width: of the image.
      height: of the image.
      resolution: of the network.
      preprocessing: says whether it is cropped.
    """
    if preprocessing.resize == "squash":
        return to_square((0, 0, width, height), resolution)
    short = round(resolution / preprocessing.crop_fraction)
    return center_crop(width, height, resolution, short)
