"""Boxes and masks of photographs that a camera stored lying on their side."""

import dataclasses
import io
import pathlib
from typing import BinaryIO

import numpy as np
from PIL import Image

from mobilenets.data.boxes import Boxes
from mobilenets.data.decoding import UPRIGHT, orientation
from mobilenets.errors import BrokenImage

Size = tuple[float, float]  # width and height

FRACTIONS: Size = (1, 1)  # of boxes that are given as fractions of the image

# Where a point of the stored image goes that is turned by an EXIF orientation which
# swaps width and height, as (y, x) of (y, x, height, width).
_TURNS = {
    5: lambda y, x, height, width: (x, y),
    6: lambda y, x, height, width: (x, height - y),
    7: lambda y, x, height, width: (width - x, height - y),
    8: lambda y, x, height, width: (width - x, y),
}


def on_upright_image(boxes: Boxes, size: Size, content: bytes, origin: str) -> Boxes:
    """The boxes in pixels of the image that `decode` gives with `upright`.

    The size for which boxes are given says which image was annotated: the one as it is
    stored, or the one that its EXIF orientation turns upright, which viewers show. An
    image that an orientation only mirrors has the same size both ways. It counts as
    annotated upright. Where the image has another size of the same shape, it was
    resized after that, and its boxes are, too.

    Args:
      boxes: of an image of that size.
      size: width and height; or `FRACTIONS`.
      content: the image's file.
      origin: for messages.

    Raises:
      BrokenImage: the image has another shape than was annotated.
    """
    try:
        image = Image.open(io.BytesIO(content))
    except Exception:  # Pillow raises any; decoding says what is wrong with the image
        return boxes
    turned = orientation(image)
    width, height = image.size
    upright = (height, width) if turned in _TURNS else (width, height)
    if size == upright:
        return boxes
    if size != FRACTIONS:
        if size == image.size:
            return _turned(boxes, size, turned)
        if not _same_shape(size, upright):
            raise BrokenImage(
                f"The boxes of {origin} are for an image of {_shown(size)} pixels, but "
                f"it has {_shown(upright)}: give the image that was annotated."
            )
    return boxes.scaled(upright[1] / size[1], upright[0] / size[0])


def mask_on_upright_image(
    mask: np.ndarray, photograph: pathlib.Path | BinaryIO, origin: str
) -> np.ndarray:
    """The mask of the image that `decode` gives with `upright`.

    The size of the mask says which image was annotated, as with boxes: the upright one,
    or else the one as it is stored, with which the mask is turned.

    Args:
      mask: [H, W] uint8.
      photograph: the image's file, of which only the beginning is read.
      origin: for messages.

    Raises:
      BrokenImage: the mask has another size than the image.
    """
    try:
        with Image.open(photograph) as image:
            turned, (width, height) = orientation(image), image.size
    except Exception:  # Pillow raises any; decoding says what is wrong with the image
        return mask
    h, w = mask.shape
    upright = (height, width) if turned in _TURNS else (width, height)
    if (w, h) == upright:
        return mask
    if (w, h) == (width, height):
        return np.asarray(Image.fromarray(mask).transpose(UPRIGHT[turned]))
    raise BrokenImage(
        f"The mask of {origin} has {_shown((w, h))} pixels, but the "
        f"photograph has {_shown(upright)}: give the mask of this photograph, in "
        "its size."
    )


def _turned(boxes: Boxes, size: Size, turned: int) -> Boxes:
    """The boxes of a stored image after the image is turned."""
    width, height = size
    y_min, x_min, y_max, x_max = boxes.corners.T
    turn = _TURNS[turned]
    points = [turn(y, x, height, width) for y, x in ((y_min, x_min), (y_max, x_max))]
    first, second = (np.stack(point, axis=1) for point in points)
    corners = np.hstack([np.minimum(first, second), np.maximum(first, second)])
    return dataclasses.replace(boxes, corners=corners.astype(np.float32))


def _same_shape(size: Size, other: Size) -> bool:
    """Whether one is the other resized, up to whole pixels."""
    scale = other[0] / size[0]
    return abs(size[1] * scale - other[1]) <= max(1.0, scale)


def _shown(size: Size) -> str:
    return f"{size[0]:g}x{size[1]:g}"
