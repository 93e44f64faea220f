"""Where the pixels of an image go: a cut, a change of size, a mirror."""

import dataclasses

from PIL import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two are outside

_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclasses.dataclass(frozen=True)
class Geometry:
    """A box is cut out and resized, a window cut out of that and perhaps mirrored.

    A point at x of the image goes to (x - box left) * width / box width - window left,
    and, mirrored, to the window's width less that; so with y, which is never mirrored.
    """

    box: Box  # in pixels of the image
    size: tuple[int, int]  # width and height to which the box is resized
    window: Box  # in pixels of the resized box
    mirrored: bool = False  # left to right

    def apply(self, image: Image.Image, interpolation: str) -> Image.Image:
        """The window's pixels, resampled once.

        Args:
          image: of the size that the box lies in.
          interpolation: "bilinear" or "bicubic".
        """
        # `reducing_gap` would be faster and less exact.
        image = image.resize(self.size, _INTERPOLATIONS[interpolation], box=self.box)
        image = image.crop(self.window)
        if self.mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image


def to_square(box: Box, side: int) -> Geometry:
    """A box of the image, resized to a square."""
    return Geometry(box, (side, side), (0, 0, side, side))


def center_crop(width: int, height: int, side: int, short: int) -> Geometry:
    """The middle of the image after its short side is resized.

    Args:
      width: of the image.
      height: of the image.
      side: of the square that is cut out.
      short: to what the short side is resized.
    """
    scale = short / min(width, height)
    # The long side is cut, not rounded, as in torchvision, whose weights we import.
    w, h = (max(short, int(length * scale)) for length in (width, height))
    left, top = round((w - side) / 2), round((h - side) / 2)
    return Geometry((0, 0, width, height), (w, h), (left, top, left + side, top + side))
