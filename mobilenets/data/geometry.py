"""Where the pixels of an image go: a cut, a change of size, a mirror."""

import dataclasses
import math

from PIL import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two are outside

_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


_SUPPORT = 2  # pixels on each side that bicubic interpolation reads; bilinear reads 1
# Of a resized image, of which the window alone is resized if there are more. Images as
# long as that are strips, of which millions of columns would be computed in vain.
_MOST_PIXELS = 2**24


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
        filter_ = _INTERPOLATIONS[interpolation]
        if self.size[0] * self.size[1] > _MOST_PIXELS:
            image = self._resize_window(image, filter_)
        else:
            image = image.resize(self.size, filter_, box=self.box).crop(self.window)
        if self.mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image

    def _resize_window(
        self, image: Image.Image, filter_: Image.Resampling
    ) -> Image.Image:
        """The window alone: the part of the image that it shows is cut out and resized.

        The pixels are the same, but for the rounding of the place in float32.
        """
        window = self.window
        scales = [
            (self.box[i + 2] - self.box[i]) / self.size[i] for i in range(2)
        ]  # pixels of the image for one of the window
        shown = [self.box[i % 2] + window[i] * scales[i % 2] for i in range(4)]
        margins = [math.ceil(_SUPPORT * max(1.0, scale)) for scale in scales]
        left, top = (max(0, int(shown[i]) - margins[i]) for i in range(2))
        right, bottom = (
            min(image.size[i], math.ceil(shown[i + 2]) + margins[i]) for i in range(2)
        )
        ends = min(shown[2], right) - left, min(shown[3], bottom) - top
        box = (shown[0] - left, shown[1] - top, *ends)
        size = (window[2] - window[0], window[3] - window[1])
        return image.crop((left, top, right, bottom)).resize(size, filter_, box=box)


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
