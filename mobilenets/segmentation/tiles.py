"""A large image in overlapping parts, so that memory does not grow with it."""

from collections.abc import Callable, Iterator

import numpy as np

# Parts begin at multiples of it, so that every map of a network with that output stride
# or a finer one has its pixels at the same places in all of them.
GRID = 32


def classes_by_tiles(
    classes_of: Callable[[np.ndarray], np.ndarray], image: np.ndarray, tile: int
) -> np.ndarray:
    """The classes of an image's pixels, found in one part after the other.

    Neighbouring parts overlap by half of a tile. Of each, the pixels at least a quarter
    of a tile from its border are taken, or up to the border of the image. So a network
    whose pixels depend on no more than a quarter of a tile around them says the same as
    of the whole image, if the height and width of the image are multiples of `GRID`, or
    the network pads them to fit its maps. A mean of the whole map, as in DeepLabv3 and
    LR-ASPP, is one of the part instead.

    Args:
      classes_of: of a part, [h, w, 3] -> [h, w].
      image: [H, W, 3].
      tile: height and width of a part, a multiple of 4 * `GRID`; or any, where parts
        may begin between the multiples of `GRID`.

    Returns:
      [H, W] uint8.
    """
    height, width = image.shape[:2]
    result = np.zeros((height, width), np.uint8)
    for top, bottom, rows in _parts(height, tile):
        for left, right, columns in _parts(width, tile):
            classes = classes_of(image[top:bottom, left:right])
            inner = (
                slice(rows.start - top, rows.stop - top),
                slice(columns.start - left, columns.stop - left),
            )
            result[rows, columns] = classes[inner]
    return result


def _parts(length: int, tile: int) -> Iterator[tuple[int, int, slice]]:
    """Where parts begin and end along one side, and what is taken of each.

    >>> [(start, stop, taken.start, taken.stop) for start, stop, taken in _parts(9, 4)]
    [(0, 4, 0, 3), (2, 6, 3, 5), (4, 8, 5, 7), (6, 9, 7, 9)]
    """
    margin = tile // 4
    for start in range(0, max(1, length - 2 * margin), tile // 2):
        stop = min(start + tile, length)
        first = start + margin if start else 0
        last = length if stop == length else stop - margin
        yield start, stop, slice(first, last)
        if stop == length:
            return
