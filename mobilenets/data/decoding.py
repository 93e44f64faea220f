"""From what a source holds to an image in RGB."""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mobilenets.errors import BrokenImage


def decode(
    content: bytes | np.ndarray, origin: str, upright: bool = False
) -> Image.Image:
    """The image in RGB; a grey one has three equal channels.

    Args:
      content: of the file; or the pixels, [H, W, 3] or [H, W] uint8.
      origin: for messages.
      upright: turn it as its EXIF orientation says, as viewers do and cameras rely on.
        ImageNet's evaluations, ours and others', do not.

    Raises:
      BrokenImage: the content is no image that PIL can read, or is cut short.
    """
    if isinstance(content, np.ndarray):
        return Image.fromarray(content).convert("RGB")
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
