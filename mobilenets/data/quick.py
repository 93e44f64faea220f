"""Images to train, decoded and resized with no more work than a crop needs.

Decoded pixels are those of Pillow; `resizing` says how near to it they are after that.
An evaluation does not use this: there an image has the same pixels everywhere.
"""

import io

import numpy as np
from PIL import Image

from mobilenets.data import decoding, jpeg
from mobilenets.data.geometry import Color, Geometry
from mobilenets.data.timing import as_decoding

try:
    from mobilenets.data import resizing
except ModuleNotFoundError:  # cykooz-resizer is not made for Linux on ARM
    resizing = None


class Undecoded:
    """An image of which only the size is known until pixels are asked for.

    Args:
      content: see `decoding.decode`.
      origin: for messages.
      upright: see `decoding.decode`.

    Raises:
      BrokenImage: here or later, see `decoding.decode`.
    """

    def __init__(self, content: bytes | np.ndarray, origin: str, upright: bool = False):
        self._content, self._origin, self._upright = content, origin, upright
        self._rows: np.ndarray | None = None
        self._header = _header(content, upright)
        if self._header is None:
            self._whole = self._decode()
            self.size = self._whole.size
        else:
            self._whole = None
            self.size = self._header.width, self._header.height

    @property
    def width(self) -> int:
        """In pixels."""
        return self.size[0]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.size[1]

    def whole(self) -> Image.Image:
        """All of the image in RGB, as `decoding.decode` gives it."""
        if self._whole is None:
            self._whole = self._decode()
        return self._whole

    @as_decoding
    def _decode(self) -> Image.Image:
        return decoding.decode(self._content, self._origin, self._upright)

    @as_decoding
    def rows(self, count: int) -> np.ndarray | None:
        """The first rows, perhaps more, [rows, width, 3] uint8.

        They are kept for who asks again, as a teacher does after its student. None if
        Pillow has to decode the image.
        """
        if self._header is None or isinstance(self._content, np.ndarray):
            return None
        if self._rows is None or len(self._rows) < count:
            try:
                self._rows = jpeg.rows(self._content, self._header, count)
            except ValueError:  # Pillow may decode it, or says why not
                return None
        return self._rows


def _header(content: bytes | np.ndarray, upright: bool) -> jpeg.Header | None:
    """Of a JPEG that is the right way up; None for what Pillow is to decode."""
    if isinstance(content, np.ndarray):
        return None
    header = jpeg.read_header(content)
    if header and header.has_metadata and upright:
        try:
            image = Image.open(io.BytesIO(content), formats=["JPEG"])
        except Exception:  # that `decode` will raise again, and put in words
            return None
        if decoding.orientation(image) != 1:
            return None
    return header


def show(
    image: Image.Image | Undecoded, geometry: Geometry, interpolation: str, fill: Color
) -> np.ndarray:
    """What a geometry makes of an image to train; see `Geometry.apply`.

    Args:
      image: to which the geometry belongs.
      geometry: where its pixels go.
      interpolation: as for `Geometry.apply`.
      fill: the colour of what is not in the image.

    Returns:
      [height, width, 3] uint8.
    """
    if isinstance(image, Image.Image):
        return np.asarray(geometry.apply(image, interpolation, fill))
    if (
        resizing is not None
        and interpolation in resizing.FILTERS
        and geometry.shows_image_alone(image.size)
    ):
        (left, top, _, bottom), box = geometry.source(image.size)
        rows = image.rows(bottom)
        if rows is not None:
            box = box[0] + left, box[1], box[2] + left, box[3]
            size = geometry.window_size
            pixels = resizing.resize(rows[top:bottom], box, size, interpolation)
            return _mirror(pixels) if geometry.mirrored else pixels
    return np.asarray(geometry.apply(image.whole(), interpolation, fill))


def _mirror(pixels: np.ndarray) -> np.ndarray:
    """Left to right; NumPy takes several times as long for all channels together."""
    return np.stack([pixels[:, ::-1, channel] for channel in range(3)], axis=-1)
