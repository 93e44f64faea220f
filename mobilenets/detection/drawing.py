"""Boxes drawn on an image, with words at them."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]

_WORDS_OF_SIDE = 1 / 28  # the height of words, as a fraction of the image's longer side
_LEAST_WORDS = 11  # pixels


@dataclasses.dataclass(frozen=True)
class Mark:
    """A box and what is written at it.

    Args:
      box: top, left, bottom and right as fractions of the image.
      text: "" for none.
      color: of the lines, and behind the words.
    """

    box: Sequence[float] | np.ndarray
    text: str
    color: Color


def draw_marks(image: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """A copy of the image with boxes and words; the first ones on top.

    Args:
      image: any.
      marks: what is drawn.
    """
    image = image.convert("RGB")
    canvas = ImageDraw.Draw(image)
    height = max(_LEAST_WORDS, round(_WORDS_OF_SIDE * max(image.size)))
    font = ImageFont.load_default(height)
    width = max(2, height // 6)
    for mark in reversed(marks):
        top, left, bottom, right = np.asarray(mark.box) * np.tile(image.size[::-1], 2)
        # Pillow wants the second corner to be beyond the first.
        corners = (left, top, max(right, left + 1), max(bottom, top + 1))
        canvas.rectangle(corners, outline=mark.color, width=width)
    for mark in reversed(marks):
        if mark.text:
            _write(canvas, mark, image.size, font)
    return image


def _write(
    canvas: ImageDraw.ImageDraw,
    mark: Mark,
    size: tuple[int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Writes above the box or, where there is no room, at its upper edge."""
    _, _, w, h = canvas.textbbox((0, 0), mark.text, font)
    top, left, _, _ = np.asarray(mark.box) * np.tile(size[::-1], 2)
    x = min(max(0, left), max(0, size[0] - w - 4))
    y = top - h - 4 if top >= h + 4 else max(0, top)
    canvas.rectangle((x, y, x + w + 3, y + h + 3), fill=mark.color)
    canvas.text((x + 2, y + 1), mark.text, _ink(mark.color), font)


def _ink(color: Color) -> Color:
    """Black on light colours, white on dark ones."""
    red, green, blue = color
    is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 150
    return (0, 0, 0) if is_light else (255, 255, 255)
