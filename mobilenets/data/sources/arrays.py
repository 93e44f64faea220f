"""Images that are in memory already."""

from collections.abc import Sequence

import numpy as np

from mobilenets.data.sources.base import Record
from mobilenets.errors import UserError


class ArraySource:
    """Images and their labels as NumPy arrays.

    Args:
      images: [N, H, W, 3], or grey [N, H, W], uint8.
      targets: [N] integers, the class of each image; or [N, A] attributes: 1 for yes, 0
        for no, nan for unknown.
      names: the names of the classes, or of the A attributes.

    Raises:
      UserError: the arrays have other shapes, types or values.
    """

    upright = False

    def __init__(self, images: np.ndarray, targets: np.ndarray, names: Sequence[str]):
        images, targets = np.asarray(images), np.asarray(targets)
        _check_images(images)
        if len(targets) != len(images):
            raise UserError(
                f"There are {len(images)} images, but {len(targets)} targets."
            )
        self.names = tuple(names)
        if len(set(self.names)) < len(self.names):
            raise UserError("The names of an array of images must differ.")
        if targets.ndim == 1:
            _check_classes(targets, len(self.names))
        else:
            _check_attributes(targets, len(self.names))
            targets = targets.astype(np.float32)
        self._images, self._targets = images, targets

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Record:
        target = self._targets[index]
        if target.ndim == 0:
            target = int(target)
        return Record(self._images[index], target, f"image {index} of an array")


def _check_images(images: np.ndarray) -> None:
    is_grey, is_rgb = images.ndim == 3, images.ndim == 4 and images.shape[-1] == 3
    if not is_grey and not is_rgb:
        raise UserError(
            "The images of an array must have the shape [N, H, W, 3], or [N, H, W] if "
            f"they are grey, but have {list(images.shape)}."
        )
    if images.dtype != np.uint8:
        raise UserError(
            f"The images of an array must be uint8, 0 to 255, but are {images.dtype}: "
            "convert them, as by (255 * images).round().astype(numpy.uint8) if they are"
            " of 0 to 1."
        )
    if not images.size:
        raise UserError("The array holds no images.")


def _check_classes(targets: np.ndarray, count: int) -> None:
    if not np.issubdtype(targets.dtype, np.integer):
        raise UserError(
            f"The classes of an array of images must be integers, but are "
            f"{targets.dtype}; attributes have the shape [N, attributes]."
        )
    if targets.min() < 0 or targets.max() >= count:
        raise UserError(
            f"The classes of an array of images must be 0 to {count - 1}, as there are "
            f"{count} names, but are {targets.min()} to {targets.max()}."
        )


def _check_attributes(targets: np.ndarray, count: int) -> None:
    if targets.ndim != 2 or targets.shape[1] != count:
        raise UserError(
            f"The targets of an array of images must have the shape [N] for classes, or"
            f" [N, {count}] for {count} attributes, but have {list(targets.shape)}."
        )
    known = targets[~np.isnan(targets)]
    if not np.isin(known, (0, 1)).all():
        value = known[~np.isin(known, (0, 1))][0]
        raise UserError(
            f"The attributes of an array of images must be 1, 0 or nan (unknown), but "
            f"one is {value}."
        )
