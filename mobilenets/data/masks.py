"""Masks: the class of every pixel of an image, as files have them.

A mask is [H, W] uint8. A file may hold the numbers of the classes, in grey or with a
palette that is there for people, or a colour for each class, which needs a `ColorMap`.
"""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mobilenets.data.decoding import reason
from mobilenets.data.geometry import Color
from mobilenets.errors import BrokenImage, UserError

UNLABELLED = (
    255  # of a pixel whose class is not known: it is neither learned nor counted
)
MOST_CLASSES = 255
BACKGROUND = "background"  # the usual name of the class of what is nothing else

# Pascal VOC draws it around objects, where no class is right.
BOUNDARY: Color = (224, 224, 192)

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class ColorMap:
    """The colour of each class in masks in colour.

    Args:
      colors: of the classes, in the order of their numbers.
      source: the file that says so, for messages.
    """

    colors: Sequence[Color]
    source: str

    def numbers(self, pixels: np.ndarray, origin: str) -> np.ndarray:
        """The classes of colours.

        Args:
          pixels: [H, W, 3] uint8.
          origin: for messages.

        Returns:
          [H, W] uint8. `BOUNDARY` is unlabelled, unless it is the colour of a class.

        Raises:
          UserError: a colour is that of no class.
        """
        known = {_packed(np.array(c)).item(): n for n, c in enumerate(self.colors)}
        known.setdefault(_packed(np.array(BOUNDARY)).item(), UNLABELLED)
        keys = np.array(sorted(known))
        of_pixels = _packed(pixels)
        places = np.searchsorted(keys, of_pixels).clip(max=len(keys) - 1)
        strange = keys[places] != of_pixels
        if strange.any():
            row, column = np.argwhere(strange)[0]
            color = ",".join(map(str, pixels[row, column].tolist()))
            raise UserError(
                f"The mask {origin} has the colour {color} at column {column}, row "
                f"{row}, which {self.source} does not list: add its class there, or "
                "correct the mask."
            )
        return np.array([known[key] for key in keys.tolist()], np.uint8)[places]


def _packed(colors: np.ndarray) -> np.ndarray:
    """One number for each colour: [..., 3] -> [...]."""
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def decode_mask(
    content: bytes, origin: str, color_map: ColorMap | None = None
) -> np.ndarray:
    """The classes of the pixels of a mask's file.

    With a colour map, a palette says the colours of the classes, too; without one, its
    indices are the classes. In a black and white mask black is 0 and white is 1.

    Args:
      content: of the file.
      origin: for messages.
      color_map: of masks in colour; None where there is none.

    Returns:
      [H, W] uint8, `UNLABELLED` where the class is not known.

    Raises:
      BrokenImage: the file is no image that can be read, or is cut short.
      UserError: it is in colour and there is no map, or has numbers above 255.
    """
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise any, where a file is damaged
        raise BrokenImage(
            f"Cannot decode the mask {origin}: {reason(content, error)}."
        ) from None
    mode = image.mode
    if mode == "RGB" or (mode == "P" and color_map):
        return _by_color(image, origin, color_map)
    if mode == "L":
        return np.asarray(image) // _step(content)
    if mode in ("1", "P"):
        return np.asarray(image).astype(np.uint8)
    if mode.startswith("I"):
        return _of_many_bits(np.asarray(image), origin)
    raise UserError(
        f"The mask {origin} has the colour mode {mode}: save it as a PNG without "
        "transparency, in grey, with a palette or in RGB."
    )


def _by_color(
    image: Image.Image, origin: str, color_map: ColorMap | None
) -> np.ndarray:
    if color_map is None:
        raise UserError(
            f"The mask {origin} is in colour, but nothing says which colour is which "
            "class: put a labelmap.txt with lines like cat:128,0,0:: into the data "
            "set's folder, or save the classes' numbers in grey or with a palette."
        )
    numbers = color_map.numbers(np.asarray(image.convert("RGB")), origin)
    if image.mode == "P":
        # By custom, whatever colour it is shown in.
        numbers[np.asarray(image) == UNLABELLED] = UNLABELLED
    return numbers


def _step(content: bytes) -> int:
    """How far apart Pillow puts the numbers of a grey image of 2 or 4 bits.

    It spreads them over 0 to 255. A PNG has its bits and its kind of colours, of which
    0 is grey, at fixed places: PNG (third edition), 11.2.1.
    """
    is_grey_png = content.startswith(_PNG) and content[25] == 0
    bits = content[24] if is_grey_png else 8
    return 255 // (2 ** min(bits, 8) - 1)


def _of_many_bits(pixels: np.ndarray, origin: str) -> np.ndarray:
    """The numbers of a mask of 16 bits, which must be those of 8."""
    if pixels.min() < 0 or pixels.max() > UNLABELLED:
        raise UserError(
            f"The mask {origin} has 16 bits and values up to {pixels.max():g}, but "
            "classes are 0 to 254, and 255 is for pixels without label: write the "
            "numbers of the classes, not those of objects."
        )
    return pixels.astype(np.uint8)
