"""JPEGs of ImageNet's size, made from a few photographs."""

import io
import pathlib

import matplotlib
import numpy as np
from PIL import Image

from mobilenets.data import decoding
from mobilenets.data.sources import photographs
from mobilenets.errors import UserError

# Width and height, as most images of ImageNet have them: on average about 500 x 375.
_SIZES = ((500, 375), (500, 375), (375, 500), (500, 333))
_QUALITIES = (60, 98)  # the best of these with which a file has at most so many bytes
_BYTES = 125_000


def of_matplotlib() -> pathlib.Path:
    """The folder with the one photograph that is always at hand."""
    return pathlib.Path(matplotlib.get_data_path()) / "sample_data"


def make(source: pathlib.Path, folder: pathlib.Path, count: int) -> int:
    """Random parts of the photographs, each in a size of ImageNet's.

    Args:
      source: a folder with photographs.
      folder: an empty one, which gets FOLDER/CLASS/*.jpg of two classes.
      count: files to make.

    Returns:
      The average number of bytes of a file.

    Raises:
      UserError: there are no photographs.
    """
    found = photographs.find(source, photographs.Ignored()) if source.is_dir() else []
    if not found:
        raise UserError(f"{source} holds no photographs: give a folder that does.")
    images = [decoding.decode(path.read_bytes(), str(path)) for path in found]
    rng = np.random.default_rng(0)
    total = 0
    for number in range(count):
        image = _part(images[number % len(images)], rng)
        content = _encoded(image)
        total += len(content)
        path = folder / f"class{number % 2}" / f"{number:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return total // count


def _part(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = _SIZES[rng.integers(len(_SIZES))]
    scale = min(image.width / width, image.height / height) * rng.uniform(0.7, 1)
    w, h = width * scale, height * scale
    left, top = rng.uniform(0, image.width - w), rng.uniform(0, image.height - h)
    box = (left, top, left + w, top + h)
    return image.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _encoded(image: Image.Image) -> bytes:
    """The best JPEG that is not too long; longer the next ones of a search are not."""
    lowest, highest = _QUALITIES
    best = _jpeg(image, lowest)
    while lowest < highest:
        quality = (lowest + highest + 1) // 2
        content = _jpeg(image, quality)
        if len(content) > _BYTES:
            highest = quality - 1
        else:
            lowest, best = quality, content
    return best


def _jpeg(image: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return content.getvalue()
