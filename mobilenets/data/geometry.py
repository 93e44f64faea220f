"""Where the pixels of an image go: a cut, a change of size, a mirror."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two are outside
FloatBox = tuple[float, float, float, float]  # the same, between pixels
Color = tuple[int, int, int]  # red, green, blue

NO_ANTIALIAS = "bilinear_no_antialias"  # the interpolation that `sample` is
_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

_SUPPORT = 2  # pixels on each side that bicubic interpolation reads; bilinear reads 1
# The window alone is resized if the whole would have that many times its pixels, which
# would be computed in vain: of a strip, or of a crop of Cityscapes at twice its size.
_OFTEN = 4


@dataclasses.dataclass(frozen=True)
class Geometry:
    """A box is cut out and resized, a window cut out of that and perhaps mirrored.

    A point at x of the image goes to (x - box left) * width / box width - window left,
    and, mirrored, to the window's width less that; so with y, which is never mirrored.
    Box and window may reach beyond the image: what is there has one colour.
    """

    box: Box  # in pixels of the image
    size: tuple[int, int]  # width and height to which the box is resized
    window: Box  # in pixels of the resized box
    mirrored: bool = False  # left to right

    def apply(
        self, image: Image.Image, interpolation: str, fill: Color = (0, 0, 0)
    ) -> Image.Image:
        """The window's pixels, resampled once.

        Args:
          image: to which the box belongs.
          interpolation: "bilinear", "bicubic" or `NO_ANTIALIAS`.
          fill: the colour of what is not in the image.
        """
        if interpolation == NO_ANTIALIAS:
            pixels = self.sample(image, fill)
            return Image.fromarray(np.rint(pixels).astype(np.uint8))
        width, height = self.window_size
        is_small = self.size[0] * self.size[1] > _OFTEN * width * height
        if is_small and self.shows_image_alone(image.size):
            image = self._resize_window(image, _INTERPOLATIONS[interpolation])
        else:
            image = _resized(image, self.box, self.size, interpolation, fill)
            image = _cut(image, self.window, fill)
        if self.mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image

    def sample(self, image: Image.Image, fill: Color = (0, 0, 0)) -> np.ndarray:
        """The window's pixels, each between the four of the image around its centre.

        However small the box becomes, no more pixels are read, as by torch's
        `interpolate` with mode "bilinear" and without antialias. Beyond the image there
        is the fill, and pixels at its border are continued.

        Args:
          image: to which the box belongs.
          fill: the colour of what is not in the image.

        Returns:
          [window height, window width, 3] float32, 0 to 255, not rounded.
        """
        columns, rows = (self._places(axis, image.size[axis]) for axis in (0, 1))
        pixels = np.asarray(image)
        above, below = (
            _between(
                pixels[np.ix_(row, columns.before)],
                pixels[np.ix_(row, columns.after)],
                columns.part,
            )
            for row in (rows.before, rows.after)
        )
        result = _between(above, below, rows.part[:, None])
        result[~(rows.inside[:, None] & columns.inside)] = fill
        return result[:, ::-1] if self.mirrored else result

    def _places(self, axis: int, image_size: int) -> "_Places":
        """Where the window's pixels are in the image along one side.

        Args:
          axis: 0 for columns, 1 for rows.
          image_size: pixels of the image.
        """
        start, stop = self.box[axis], self.box[axis + 2]
        per_pixel = (stop - start) / self.size[axis]
        number = np.arange(self.window[axis], self.window[axis + 2])
        place = start + (number + 0.5) * per_pixel  # of centres
        from_centre = np.clip(place - 0.5, 0, image_size - 1)
        before = from_centre.astype(np.int64)
        return _Places(
            before,
            np.minimum(before + 1, image_size - 1),
            (from_centre - before).astype(np.float32)[:, None],
            (place >= 0) & (place < image_size),
        )

    def apply_to_mask(self, mask: np.ndarray, fill: int) -> np.ndarray:
        """The nearest class of each of the window's pixels.

        Args:
          mask: of the image, [H, W] uint8.
          fill: what is in the window but not in the image.
        """
        rows, columns = (self._nearest(axis, mask.shape[1 - axis]) for axis in (1, 0))
        moved = mask[np.ix_(rows.clip(0), columns.clip(0))]
        moved[rows < 0] = fill
        moved[:, columns < 0] = fill
        return moved[:, ::-1] if self.mirrored else moved

    def _nearest(self, axis: int, image_size: int) -> np.ndarray:
        """Of each of the window's pixels the one of the image, along x (0) or y (1).

        Returns:
          [window] integers; -1 for what `apply` fills up.
        """
        start, stop = self.box[axis], self.box[axis + 2]
        size = self.size[axis]
        inside, _ = _whole_pixels(start, stop, image_size, size)
        places = np.arange(self.window[axis], self.window[axis + 2])
        found = np.floor(start + (places + 0.5) * ((stop - start) / size))
        found = found.astype(np.int64).clip(0, image_size - 1)
        return np.where((places >= inside.start) & (places < inside.stop), found, -1)

    def move(self, corners: np.ndarray) -> np.ndarray:
        """Where boxes go; they may reach beyond the window.

        Args:
          corners: [n, 4]: y_min, x_min, y_max, x_max in pixels of the image.

        Returns:
          [n, 4] float32, as fractions of the window.
        """
        scale, offset = self.to_image
        moved = (corners.reshape(-1, 2, 2) - offset) / scale
        if self.mirrored:
            moved[:, :, 1] = 1 - moved[:, ::-1, 1]
        return moved.reshape(-1, 4).astype(np.float32)

    @property
    def shown(self) -> np.ndarray:
        """The part of the window that the box takes up, as `move` gives boxes: [4]."""
        left, top, right, bottom = self.box
        return self.move(np.array([[top, left, bottom, right]], np.float32))[0].clip(
            0, 1
        )

    @property
    def to_image(self) -> np.ndarray:
        """The way back, if not mirrored, from fractions of the window to pixels.

        Returns:
          [2, 2] float32: what y and x are multiplied by, and what is added to them.
        """
        left, top, right, bottom = self.box
        box, starts = np.array([bottom - top, right - left]), np.array([top, left])
        per_pixel = box / self.size[::-1]
        left, top, right, bottom = self.window
        window = np.array([bottom - top, right - left])
        return np.stack(
            [window * per_pixel, starts + np.array([top, left]) * per_pixel]
        ).astype(np.float32)

    @property
    def window_size(self) -> tuple[int, int]:
        """Its width and height."""
        left, top, right, bottom = self.window
        return right - left, bottom - top

    def shows_image_alone(self, image_size: tuple[int, int]) -> bool:
        """Whether nothing in the window is beyond an image of that width and height."""
        return _lies_in(self.box, image_size) and _lies_in(self.window, self.size)

    def rows_read(self, image_height: int) -> int:
        """How many of the upper rows of an image `apply` reads where it is alone."""
        return min(image_height, math.ceil(self.box[3]) + self._margins[1])

    @property
    def _scales(self) -> list[float]:
        """Pixels of the image for one of the window, along x and y."""
        return [(self.box[i + 2] - self.box[i]) / self.size[i] for i in range(2)]

    @property
    def _margins(self) -> list[int]:
        """Pixels of the image that are read on each side of the box, along x and y."""
        return [math.ceil(_SUPPORT * max(1.0, scale)) for scale in self._scales]

    def _source(self, image_size: tuple[int, int]) -> tuple[Box, FloatBox]:
        """The pixels of the image from which those in the window are computed.

        Args:
          image_size: its width and height; see `shows_image_alone`.

        Returns:
          These pixels, and what the window shows of them, counted from their corner.
        """
        window, scales, margins = self.window, self._scales, self._margins
        shown = [self.box[i % 2] + window[i] * scales[i % 2] for i in range(4)]
        left, top = (max(0, int(shown[i]) - margins[i]) for i in range(2))
        right, bottom = (
            min(image_size[i], math.ceil(shown[i + 2]) + margins[i]) for i in range(2)
        )
        ends = min(shown[2], right) - left, min(shown[3], bottom) - top
        return (left, top, right, bottom), (shown[0] - left, shown[1] - top, *ends)

    def _resize_window(
        self, image: Image.Image, filter_: Image.Resampling
    ) -> Image.Image:
        """The window alone: the part of the image that it shows is cut out and resized.

        The pixels are the same, but for the rounding of the place in float32.
        """
        part, box = self._source(image.size)
        return image.crop(part).resize(self.window_size, filter_, box=box)


class _Places(NamedTuple):
    """Pixels along one side of a window, and where they are in the image."""

    before: np.ndarray  # [n] int: the last pixel whose centre is not behind it
    after: np.ndarray  # [n] int: the next one
    part: np.ndarray  # [n, 1] float32: how far on the way to the next one
    inside: np.ndarray  # [n] bool: whether it is in the image


def _between(before: np.ndarray, after: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Float32 between two arrays of pixels."""
    before = before.astype(np.float32)
    return before + (after.astype(np.float32) - before) * part


def to_square(box: Box, side: int) -> Geometry:
    """A box of the image, resized to a square."""
    return Geometry(box, (side, side), (0, 0, side, side))


def padded_to_square(box: Box, side: int) -> Geometry:
    """A box of the image in the middle of a square, its long side as long as that."""
    left, top, right, bottom = box
    scale = side / max(right - left, bottom - top)
    w, h = (max(1, round(n * scale)) for n in (right - left, bottom - top))
    left, top = -((side - w) // 2), -((side - h) // 2)
    return Geometry(box, (w, h), (left, top, left + side, top + side))


def whole(width: int, height: int, size: tuple[int, int]) -> Geometry:
    """All of the image with another size.

    Args:
      width: of the image.
      height: of the image.
      size: width and height that it gets.
    """
    return Geometry((0, 0, width, height), size, (0, 0, *size))


def centered(geometry: Geometry, side: int) -> Geometry:
    """The same change with a square window in the middle of what it shows."""
    left, top, right, bottom = geometry.window
    left, top = left + (right - left - side) // 2, top + (bottom - top - side) // 2
    return dataclasses.replace(geometry, window=(left, top, left + side, top + side))


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


def _resized(
    image: Image.Image,
    box: Box,
    size: tuple[int, int],
    interpolation: str,
    fill: Color,
) -> Image.Image:
    """A box of the image with another size."""
    resampling = _INTERPOLATIONS[interpolation]
    if _lies_in(box, image.size):
        # `reducing_gap` would be faster and less exact.
        return image.resize(size, resampling, box=box)
    (x, left), (y, top) = (
        _whole_pixels(box[i], box[i + 2], image.size[i], size[i]) for i in (0, 1)
    )
    canvas = Image.new("RGB", size, fill)
    if x.stop > x.start and y.stop > y.start:
        part = image.resize(
            (x.stop - x.start, y.stop - y.start),
            resampling,
            box=(left[0], top[0], left[1], top[1]),
        )
        canvas.paste(part, (x.start, y.start))
    return canvas


def _whole_pixels(
    start: int, stop: int, image_size: int, size: int
) -> tuple[slice, tuple[float, float]]:
    """The pixels of a resized box that are wholly in the image, along one side.

    A part of them keeps its place to the last digit, since pixels at the border of the
    image that are only partly in it are left out.

    Returns:
      The pixels, and where they begin and end in the image.
    """
    per_pixel = (stop - start) / size
    first = max(0, math.ceil(-start / per_pixel - 1e-9))
    last = min(size, math.floor((image_size - start) / per_pixel + 1e-9))
    ends = (start + first * per_pixel, start + last * per_pixel)
    return slice(first, last), (max(ends[0], 0.0), min(ends[1], float(image_size)))


def _cut(image: Image.Image, window: Box, fill: Color) -> Image.Image:
    """A window of the image, which may reach beyond it."""
    if _lies_in(window, image.size):
        return image.crop(window)
    left, top, right, bottom = window
    canvas = Image.new("RGB", (right - left, bottom - top), fill)
    canvas.paste(image, (-left, -top))
    return canvas


def _lies_in(box: Box, size: tuple[int, int]) -> bool:
    left, top, right, bottom = box
    return left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]
