"""From what a source holds to an image in RGB.

What the formats leave open is decided here, once for training and prediction:

- Transparent pixels are shown on white, as most viewers and web pages show them.
- Colour profiles are ignored: the numbers are taken as sRGB, as in the pipelines of
  ImageNet that the papers and other libraries use.
- 16 bits of grey become 8, rounded: 65535 is 255. (Of 16 bits of colour Pillow reads
  the upper 8.) Floats are 0 to 1. Integers and floats beyond that are refused, since
  nothing says which of them is white.
- Of the EXIF data only the orientation is read. One that is not 1 to 8 is none.
- Of an animation the first image is taken.
"""

import functools
import io

import numpy as np
from PIL import Image

from mobilenets.errors import BrokenImage

BACKGROUND = (255, 255, 255)  # behind transparent pixels

# What is decoded, whatever a file is called. Pillow knows more formats, for some of
# which it starts other programs, such as Ghostscript for what begins like EPS.
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "JPEG2000", "PPM", "TIFF")

# EXIF 2.32, 4.6.4 A, tag 0x0112: what brings an image of that orientation upright.
_ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# How files begin, and what they are; a single word is the name of a Pillow reader.
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"RIFF....WEBP", "WEBP"),
    (b"....ftypavif", "AVIF"),
    (b"....ftyphei", "a HEIC file"),
    (b"....ftypmif1", "a HEIC file"),
    (b"....ftyp", "a video"),
    (b"%PDF", "a PDF"),
    (b"<", "text with tags, such as a page of a web site"),
)


def decode(
    content: bytes | np.ndarray, origin: str, upright: bool = False
) -> Image.Image:
    """The image in RGB, by the rules above; a grey one has three equal channels.

    Args:
      content: of the file; or the pixels, [H, W, 3] or [H, W] uint8.
      origin: for messages.
      upright: turn it as its EXIF orientation says, as viewers do and cameras rely on.
        ImageNet's evaluations, ours and others', do not.

    Raises:
      BrokenImage: the content is no image that Pillow can read, is cut short, has more
        pixels than Pillow decodes, or a range of values that is not known.
    """
    if isinstance(content, np.ndarray):
        return Image.fromarray(content).convert("RGB")
    try:
        image = Image.open(io.BytesIO(content), formats=_formats())
        image.load()  # turns a TIFF, which then has no orientation any more
        turn = UPRIGHT.get(orientation(image)) if upright else None
        rgb = _in_rgb(image)
        return rgb if turn is None else rgb.transpose(turn)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise any, where a file is damaged
        raise BrokenImage(
            f"Cannot decode the image {origin}: {reason(content, error)}."
        ) from None


@functools.cache
def _formats() -> list[str]:
    """Those of `_FORMATS` that this Pillow has."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, where none can be read."""
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:  # whatever is wrong with it, viewers show the image all the same
        return 1
    return found if isinstance(found, int) and found in UPRIGHT else 1


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        grey = _grey(image)
        key = image.info.get("transparency")
        if not isinstance(key, int):
            return Image.fromarray(grey).convert("RGB")
        opaque = np.where(np.asarray(image) == key, 0, 255).astype(np.uint8)
        image = Image.merge("LA", [*map(Image.fromarray, (grey, opaque))])
    if not image.has_transparency_data:
        return image.convert("RGB")
    colors = image.convert("RGBA")
    shown = Image.new("RGBA", colors.size, (*BACKGROUND, 255))
    shown.alpha_composite(colors)
    return shown.convert("RGB")


def _grey(image: Image.Image) -> np.ndarray:
    """The pixels of more than 8 bits, as [H, W] uint8."""
    pixels = np.asarray(image)
    most = 1.0 if image.mode == "F" else 65535
    if not (pixels.min() >= 0 and pixels.max() <= most):  # so that nan is refused too
        raise ValueError(
            f"its values are {pixels.min():g} to {pixels.max():g}, but should be 0 to "
            f"{most:g}"
        )
    return np.round(pixels * (255 / most)).astype(np.uint8)


def reason(content: bytes, error: Exception) -> str:
    """Why a file was not decoded, without a full stop.

    Args:
      content: of the file.
      error: that Pillow raised.
    """
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"it has more than {most:,} pixels, the most that are decoded"
    if not isinstance(error, Image.UnidentifiedImageError):
        return _in_words(error)
    if not content:
        return "the file is empty"
    kind = next((kind for begin, kind in _SIGNATURES if _begins(content, begin)), None)
    if kind not in Image.OPEN:
        found = f"{kind}, " if kind else ""
        return f"it is {found}not a JPEG, PNG or WebP"
    try:  # `Image.open` does not say why the one reader that fits has failed
        Image.OPEN[kind][0](io.BytesIO(content), "")
    except Exception as why:
        return f"the {kind} cannot be read: {_in_words(why)}"
    return f"it is a {kind} that cannot be read"


def _begins(content: bytes, signature: bytes) -> bool:
    """Whether it begins so; a dot stands for any byte."""
    pairs = zip(signature, content, strict=False)
    dot = ord(".")
    return len(content) >= len(signature) and all(s in (dot, c) for s, c in pairs)


def _in_words(error: Exception) -> str:
    """What an error says, in one line without a full stop."""
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
