"""Classes of pixels in colours: over an image, and as a mask with a palette."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mobilenets.data.geometry import Color
from mobilenets.data.masks import BACKGROUND
from mobilenets.inference.colors import color_of

_BLACK: Color = (0, 0, 0)
_OPACITY = 0.6  # of the colours over an image
_WORDS_OF_SIDE = 1 / 32  # the height of words, as a fraction of the image's longer side
_LEAST_WORDS = 11  # pixels


def class_colors(names: Sequence[str]) -> list[Color]:
    """A colour for each class; a background is black, and not drawn over images.

    >>> class_colors(["background", "cat"])
    [(0, 0, 0), (46, 88, 230)]
    """
    return [
        _BLACK if name == BACKGROUND else color_of(number)
        for number, name in enumerate(names)
    ]


def as_palette_image(classes: np.ndarray, colors: Sequence[Color]) -> Image.Image:
    """An image whose values are the classes, shown in their colours.

    Args:
      classes: [H, W] uint8.
      colors: of the classes; of other values Pillow has white or grey.
    """
    image = Image.fromarray(classes)
    image.putpalette([value for color in colors for value in color])
    return image


def overlaid(
    image: np.ndarray, classes: np.ndarray, colors: Sequence[Color]
) -> np.ndarray:
    """The image with the classes over it; black ones and other values are left out.

    Args:
      image: [H, W, 3] uint8.
      classes: [H, W] uint8.
      colors: of the classes.

    Returns:
      [H, W, 3] uint8.
    """
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors)] = colors
    opacity = np.where(palette.any(axis=1), np.float32(_OPACITY), np.float32(0))
    opacity = opacity[classes][..., None]
    mixed = image * (1 - opacity) + palette[classes] * opacity
    return np.round(mixed).astype(np.uint8)


def with_legend(
    image: Image.Image, entries: Sequence[tuple[str, Color]]
) -> Image.Image:
    """The image with a strip below it, in which each colour has its words.

    Args:
      image: any.
      entries: words and colours; none for no strip.
    """
    if not entries:
        return image
    side = max(_LEAST_WORDS, round(_WORDS_OF_SIDE * max(image.size)))
    font = ImageFont.load_default(side)
    line, gap = round(1.5 * side), side // 2
    places: list[tuple[int, int]] = []
    x, row = gap, 0
    for text, _ in entries:
        length = side + gap + round(font.getlength(text)) + 2 * gap
        if x + length > image.width and x > gap:
            x, row = gap, row + 1
        places.append((x, row))
        x += length
    height = image.height + line * (row + 1) + gap
    canvas = Image.new("RGB", (image.width, height), (255, 255, 255))
    canvas.paste(image, (0, 0))
    draw = ImageDraw.Draw(canvas)
    for (text, color), (x, row) in zip(entries, places, strict=True):
        top = image.height + gap + line * row
        draw.rectangle((x, top, x + side, top + side), fill=color)
        draw.text((x + side + gap, top), text, _BLACK, font)
    return canvas
