"""The upper rows of a JPEG, by libjpeg-turbo: a crop needs none of those below it.

Most of the time goes into the Huffman codes. They have to be read from the first row
on, but not beyond the last that is needed.
"""

import dataclasses

import numpy as np
import simplejpeg
from PIL import Image

# ITU-T T.81, table B.1.
_START, _END = b"\xff\xd8", b"\xff\xd9"
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2  # the frames that are Huffman's
_START_OF_SCAN = 0xDA
_METADATA = 0xE1  # APP1: EXIF or XMP
_OTHER_SEGMENTS = frozenset(
    (0xC4, 0xDB, 0xDD, 0xE0, *range(_METADATA + 1, 0xF0), 0xFE)
)  # tables, restart interval, applications, comment

_CHANNELS = (1, 3)  # grey or colour; four are CMYK, which Pillow converts
_TRAILER = 64  # bytes that some programs write behind the end


@dataclasses.dataclass(frozen=True)
class Header:
    """What the segments before the pixels say.

    Args:
      width: in pixels.
      height: in pixels.
      height_at: where in the file it is, in two bytes.
      unit: rows of pixels that are encoded together.
      is_progressive: every row is spread over the whole file.
      has_metadata: there may be an orientation.
    """

    width: int
    height: int
    height_at: int
    unit: int
    is_progressive: bool
    has_metadata: bool


def read_header(content: bytes) -> Header | None:
    """The header of a whole JPEG that `rows` can decode; None for anything else.

    A file that is cut short is none of those, nor one with more pixels than Pillow
    takes without a warning. Pillow gives the error or the warning.
    """
    if not content.startswith(_START) or content.rfind(_END, -_TRAILER) < 0:
        return None
    header, has_metadata = None, False
    place = len(_START)
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == _START_OF_SCAN:
            break
        if marker in (_BASELINE, _EXTENDED, _PROGRESSIVE) and header is None:
            header = _read_frame(content, place)
        elif marker == _METADATA:
            has_metadata = True
        elif marker not in _OTHER_SEGMENTS:
            return None
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    else:
        return None
    most = Image.MAX_IMAGE_PIXELS
    if header is None or (most and header.width * header.height > most):
        return None
    return dataclasses.replace(header, has_metadata=has_metadata)


def _read_frame(content: bytes, place: int) -> Header | None:
    """Of T.81, B.2.2: bits, height, width, channels and the sampling of each."""
    frame = content[place + 4 : place + 10]
    if len(frame) < 6 or frame[0] != 8 or frame[5] not in _CHANNELS:
        return None
    channels = content[place + 10 : place + 10 + 3 * frame[5]]
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    if not height or not width or len(channels) < 3 * frame[5]:
        return None
    return Header(
        width=width,
        height=height,
        height_at=place + 5,
        unit=8 * max(sampling & 15 for sampling in channels[1::3]),
        is_progressive=content[place + 1] == _PROGRESSIVE,
        has_metadata=False,
    )


def rows(content: bytes, header: Header, count: int) -> np.ndarray:
    """The first rows of the image, with the same pixels as in the whole of it.

    Args:
      content: of the file.
      header: its.
      count: rows that are needed; there may be more.

    Returns:
      [rows, width, 3] uint8.

    Raises:
      ValueError: libjpeg-turbo cannot decode it.
    """
    # The colour of a row is interpolated with the next, so that has to be there, too.
    height = -(-(count + 1) // header.unit) * header.unit
    if height < header.height and not header.is_progressive:
        # The decoder stops where the frame says that the image ends.
        shortened = bytearray(content)
        shortened[header.height_at : header.height_at + 2] = height.to_bytes(2)
        return _decode(shortened)[:-1]
    return _decode(content)


def _decode(content: bytes | bytearray) -> np.ndarray:
    # Not strict: Pillow, too, takes files that are only damaged in the middle.
    return simplejpeg.decode_jpeg(content, strict=False)
