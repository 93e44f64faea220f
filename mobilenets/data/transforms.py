"""From an encoded image to pixels: decoding, random crops and the centre crop.

Everything here is numpy and PIL on one image, in the workers of the input pipeline.
Pixels leave as uint8; the mean and deviation are applied on the accelerator.
"""

import io
import math

import numpy as np
from PIL import Image, ImageEnhance, ImageOps, UnidentifiedImageError

from mobilenets.config.schema import (
    ColorJitter,
    Flip,
    Operation,
    Preprocessing,
    RandomCrop,
)
from mobilenets.errors import BrokenImage

_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def decode(content: bytes, origin: str, upright: bool = False) -> Image.Image:
    """The image in RGB; a grey one has three equal channels.

    Args:
      content: of the file.
      origin: for messages.
      upright: turn it as its EXIF orientation says, as viewers do and cameras rely on.
        ImageNet's evaluations, ours and others', do not.

    Raises:
      BrokenImage: the content is no image that PIL can read, or is cut short.
    """
    try:
        image = Image.open(io.BytesIO(content))
        if image.mode.startswith("I"):  # 16 bits of grey, which `convert` cuts off
            grey = np.clip(np.asarray(image) // 257, 0, 255)
            image = Image.fromarray(grey.astype(np.uint8))
        elif upright:
            image = ImageOps.exif_transpose(image)
        return image.convert("RGB")
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        ValueError,
        SyntaxError,
    ) as error:
        known = not isinstance(error, UnidentifiedImageError)
        reason = error if known else "it is no JPEG, PNG or WebP"
        raise BrokenImage(
            f"Cannot decode the image {origin}: {reason}. Remove or replace it."
        ) from None


def augment(
    image: Image.Image,
    rng: np.random.Generator,
    resolution: int,
    augmentation: tuple[Operation, ...],
    interpolation: str,
) -> np.ndarray:
    """A random crop of the image, perhaps flipped and recoloured.

    Returns:
      [resolution, resolution, 3] uint8.
    """
    crop = next((o for o in augmentation if isinstance(o, RandomCrop)), None)
    jitter = next((o for o in augmentation if isinstance(o, ColorJitter)), None)
    flip = any(isinstance(o, Flip) for o in augmentation)
    whole = (0, 0, image.width, image.height)
    box = random_box(image.width, image.height, rng, crop) if crop else whole
    # `reducing_gap` would be faster and less exact; `box` resamples only the crop.
    image = image.resize(
        (resolution, resolution), _INTERPOLATIONS[interpolation], box=box
    )
    if flip and rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(_jitter_colors(image, rng, jitter))


def random_box(
    width: int, height: int, rng: np.random.Generator, crop: RandomCrop
) -> tuple[int, int, int, int]:
    """A box (left, top, right, bottom) of random area, aspect ratio and place.

    Ten draws are made for one that fits into the image; if none does, it is the largest
    centred box whose aspect ratio is in the range.
    """
    largest_log = math.log(crop.max_aspect_ratio)
    for _ in range(10):
        area = rng.uniform(crop.min_area, 1.0) * width * height
        ratio = math.exp(rng.uniform(-largest_log, largest_log))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            return int(left), int(top), int(left) + w, int(top) + h
    w = min(width, round(height * crop.max_aspect_ratio))
    h = min(height, round(width * crop.max_aspect_ratio))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def center_crop(
    image: Image.Image, resolution: int, preprocessing: Preprocessing
) -> np.ndarray:
    """The middle of the image after resizing it, for evaluation and prediction.

    Returns:
      [resolution, resolution, 3] uint8.
    """
    short = round(resolution / preprocessing.crop_fraction)
    scale = short / min(image.size)
    # The long side is cut, not rounded, as in torchvision, whose weights we import.
    width, height = (max(short, int(side * scale)) for side in image.size)
    image = image.resize((width, height), _INTERPOLATIONS[preprocessing.interpolation])
    left, top = round((width - resolution) / 2), round((height - resolution) / 2)
    return np.asarray(image.crop((left, top, left + resolution, top + resolution)))


def _jitter_colors(
    image: Image.Image, rng: np.random.Generator, jitter: ColorJitter | None
) -> Image.Image:
    """Brightness, contrast, saturation and hue by random amounts, in random order."""
    if jitter is None:
        return image

    def factor(amount: float) -> float:
        return rng.uniform(max(0.0, 1 - amount), 1 + amount)

    steps = (
        (jitter.brightness, lambda x, a: _enhance("Brightness", x, factor(a))),
        (jitter.contrast, lambda x, a: _enhance("Contrast", x, factor(a))),
        (jitter.saturation, lambda x, a: _enhance("Color", x, factor(a))),
        (jitter.hue, lambda x, a: _rotate_hue(x, rng.uniform(-a, a))),
    )
    for i in rng.permutation(len(steps)):
        amount, change = steps[i]
        if amount:
            image = change(image, amount)
    return image


def _enhance(kind: str, image: Image.Image, factor: float) -> Image.Image:
    """A blend with black, grey or the image without colour; 1 changes nothing."""
    return getattr(ImageEnhance, kind)(image).enhance(factor)


def _rotate_hue(image: Image.Image, fraction: float) -> Image.Image:
    """Turns every pixel's hue by a fraction of the circle."""
    hsv = np.array(image.convert("HSV"))
    hsv[..., 0] += np.uint8(round(fraction * 256) % 256)  # wraps around, as a hue does
    return Image.fromarray(hsv, "HSV").convert("RGB")
