"""Many images in one picture."""

import pathlib
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state
from matplotlib.patches import Rectangle

from mobilenets.runtime.drawing import as_drawn, as_text

RIGHT, WRONG, NEITHER = "#1a7f37", "#c62828", "#606873"  # colours of frames

# Image [H, W, 3], values of 0 to 255, its title and its colour.
Titled = tuple[np.ndarray, str, str]

_WIDTH = 12.8  # inches
_LETTERS = 14  # of a title in an inch, at least


@as_text
def draw_images(
    titled: Sequence[Titled], heading: str, path: pathlib.Path, columns: int = 8
) -> None:
    """Draws framed images with their titles.

    All are drawn into one pair of axes, whose unit is an inch: a pair for each image
    takes three times as long.

    Args:
      titled: images, titles and colours. Titles that are wider than an image are
        wrapped.
      heading: above all.
      path: the PNG file to write.
      columns: images in a row.
    """
    cell = _WIDTH / columns
    side = 0.875 * cell
    wrapped = [(image, _wrapped(title, cell), color) for image, title, color in titled]
    rows = [wrapped[i : i + columns] for i in range(0, len(wrapped), columns)]
    lines = [max(1 + title.count("\n") for _, title, _ in row) for row in rows]
    heights = [side + 0.14 * count + 0.2 for count in lines]
    bottom = sum(heights) + 0.1
    height = bottom + 0.4
    figure = Figure(figsize=(_WIDTH, height))
    axis = figure.add_axes((0, 0, 1, 1), frameon=False)
    axis.set_axis_off()
    for row, row_height in zip(rows, heights, strict=True):
        bottom -= row_height
        for column, titled_image in enumerate(row):
            _draw_image(axis, titled_image, cell * (column + 0.5), bottom, side)
    axis.set(xlim=(0, _WIDTH), ylim=(0, height), aspect="auto")
    figure.text(0.5, 1 - 0.12 / height, heading, fontsize=11, ha="center", va="top")
    figure.savefig(path, dpi=110)


def _wrapped(title: str, inches: float) -> str:
    r"""A title in lines that are at most so wide; its own breaks stay.

    >>> _wrapped("tick\ntrue: black and white warbler", 1.6)
    'tick\ntrue: black and white\nwarbler'
    """
    width = int(inches * _LETTERS)
    return "\n".join(textwrap.fill(line, width) for line in title.split("\n"))


def _draw_image(
    axis: Axes, titled: Titled, center: float, bottom: float, side: float
) -> None:
    """Draws an image, its longer side as long as that, with a frame and its title."""
    image, title, color = titled
    height, width = (side * n / max(image.shape[:2]) for n in image.shape[:2])
    left, top = center - width / 2, bottom + height
    axis.imshow(as_drawn(image), extent=(left, left + width, bottom, top))
    axis.add_patch(
        Rectangle((left, bottom), width, height, fill=False, color=color, linewidth=2.5)
    )
    axis.text(center, top + 0.06, title, fontsize=8, color=color, ha="center")
