"""Resizing as Pillow does it, but by SIMD: in a fifth of its time.

Bilinear pixels differ from Pillow's by at most 1 of 255. So do bicubic ones, except a
few in a thousand at sharp edges, which differ by at most 16: sums are rounded and cut
off to 0 to 255 between rows and columns, which are resized in another order.
"""

import numpy as np
from cykooz_resizer import (
    CropBox,
    FilterType,
    ImageData,
    PixelType,
    ResizeAlg,
    ResizeOptions,
    Resizer,
)

from mobilenets.data.geometry import FloatBox

FILTERS = {"bilinear": "bilinear", "bicubic": "catmull_rom"}  # the same as Pillow's


def resize(
    pixels: np.ndarray, box: FloatBox, size: tuple[int, int], interpolation: str
) -> np.ndarray:
    """A box of an image with another size.

    Args:
      pixels: of the image, [H, W, 3] uint8; of whole rows, so that they are contiguous.
      box: of those pixels.
      size: width and height.
      interpolation: a key of `FILTERS`.

    Returns:
      [height, width, 3] uint8.
    """
    height, width, channels = pixels.shape
    left, top, right, bottom = box
    options = ResizeOptions(
        resize_alg=ResizeAlg.convolution(FilterType[FILTERS[interpolation]]),
        crop_box=CropBox(left, top, right - left, bottom - top),
    )
    source = ImageData(width, height, PixelType.U8x3, pixels.tobytes())
    result = ImageData(*size, PixelType.U8x3)
    # One for each image, since no two threads can use the same at a time.
    Resizer().resize(source, result, options)
    resized = np.frombuffer(result.get_buffer(), np.uint8)
    return resized.reshape(size[1], size[0], channels)
