"""What the files of boxes and masks have in common, whatever their format."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from PIL import Image

from mobilenets.data.orientation import FRACTIONS, Size
from mobilenets.data.sources import division
from mobilenets.data.sources.base import Undivided, UnknownSplit
from mobilenets.errors import UserError

HUGE = 1e9  # beyond the pixels of any image

Corners = tuple[float, float, float, float]  # y_min, x_min, y_max, x_max


class ListedBox(NamedTuple):
    """A box as a file has it."""

    corners: Corners
    name: str  # of its class
    crowd: bool
    area: float | None  # None: that of the box
    where: str  # for messages


@dataclasses.dataclass(frozen=True)
class ListedImage:
    """An image as a file has it."""

    path: pathlib.Path
    image_id: int | str  # in COCO's files and results; elsewhere counted from 1
    size: Size  # for which the boxes are given
    boxes: list[ListedBox]


@dataclasses.dataclass(frozen=True)
class Listing:
    """All that a split's files say."""

    category_ids: dict[str, int]  # of all classes by their names, in their order
    images: list[ListedImage]


@dataclasses.dataclass
class Faults:
    """What was dropped or changed: how many of each kind, and the first of them."""

    _counts: dict[str, int] = dataclasses.field(default_factory=dict)
    _firsts: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, kind: str, where: str) -> None:
        """Counts one more.

        Args:
          kind: in the plural, as "boxes without area".
          where: which one it is.
        """
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._firsts.setdefault(kind, where)

    def __str__(self) -> str:
        """The kinds with their counts, "" if there are none."""
        return ", ".join(
            f"{kind} ({count:,}, the first: {self._firsts[kind]})"
            for kind, count in self._counts.items()
        )


# What the files of a split say: a `Listing` or, of masks, a `MaskListing`.
AnyListing = TypeVar("AnyListing", covariant=True)


class Layout(Protocol[AnyListing]):
    """A folder whose images have boxes or masks in some format."""

    format: str  # for messages

    @property
    def splits(self) -> Sequence[str]:
        """Those that the folder has; `division.WHOLE` alone if it is not divided."""
        ...

    def read(self, split: str, dropped: Faults) -> AnyListing:
        """All images of a split, with their boxes or masks.

        Args:
          split: one of `splits`.
          dropped: gets what belongs to no image or class, or is no box or mask.

        Raises:
          UserError: a file is not as it should be.
        """
        ...


class _HasPath(Protocol):
    @property
    def path(self) -> pathlib.Path: ...


_Images = TypeVar("_Images", bound=_HasPath)


def read_split(
    layout: Layout[AnyListing],
    folder: str,
    split: str,
    eval_fraction: float,
    dropped: Faults,
) -> AnyListing:
    """What the files say of the split, or of all photographs that are to be divided.

    Args:
      layout: of the folder.
      folder: for messages.
      split: see `Layout.read`.
      eval_fraction: see `divided`.
      dropped: see `Layout.read`.

    Raises:
      UserError: there is no such split, or the photographs are divided already.
    """
    splits = layout.splits
    if eval_fraction:
        if len(splits) > 1:
            raise UserError(
                "dataset.eval_fraction divides photographs that are not divided yet, "
                f"but {folder} has the splits {', '.join(splits)}: leave it out."
            )
        return layout.read(splits[0], dropped)
    if split in splits:
        return layout.read(split, dropped)
    if len(splits) == 1:
        raise Undivided(
            f"dataset.folder {folder} has no split {split}, only {splits[0]}.",
            only=splits[0],
        )
    raise UnknownSplit(folder, split, splits)


def divided(
    images: list[_Images],
    root: pathlib.Path,
    folder: str,
    split: str,
    eval_fraction: float,
) -> list[_Images]:
    """The photographs on the split's side; all of them without a fraction.

    Args:
      images: all of them.
      root: of the folder.
      folder: for messages.
      split: see `division.side`.
      eval_fraction: see `division.side`.

    Raises:
      UserError: there is no such split.
    """
    if not eval_fraction or not images:
        return images
    names = [os.path.relpath(image.path, root) for image in images]
    sides = [division.side(name, eval_fraction) for name in names]
    division.check(folder, split, sides)
    return [image for image, s in zip(images, sides, strict=True) if s == split]


def because(dropped: Faults) -> str:
    """Why something is empty, to be added to a sentence; "" if nothing was dropped."""
    return f", after these were dropped: {dropped}" if str(dropped) else ""


def counted(count: int, one: str, many: str = "") -> str:
    """A number and what it counts, in the singular or plural.

    >>> counted(1, "photograph"), counted(1200, "class", "classes")
    ('1 photograph', '1,200 classes')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def cleaned(
    box: ListedBox, size: Size, dropped: Faults, changed: Faults
) -> Corners | None:
    """The part of a box that is on the image; None if there is none.

    Args:
      box: any four numbers.
      size: width and height of the image.
      dropped: gets the box if it is dropped.
      changed: gets the box if more of it is cut off than rounding explains.
    """
    y_min, x_min, y_max, x_max = box.corners
    width, height = size
    if 0 <= y_min < y_max <= height and 0 <= x_min < x_max <= width:
        return box.corners  # as nearly all
    if not all(map(math.isfinite, box.corners)):
        return dropped.add("boxes with numbers that are not finite", box.where)
    if y_max <= y_min or x_max <= x_min:
        return dropped.add("boxes without area", box.where)
    clipped = max(y_min, 0.0), max(x_min, 0.0), min(y_max, height), min(x_max, width)
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        return dropped.add("boxes outside of their photograph", box.where)
    rounding = 1 if size != FRACTIONS else 0.01
    if max(abs(a - b) for a, b in zip(clipped, box.corners, strict=True)) > rounding:
        changed.add("boxes that reach beyond their photograph", box.where)
    return clipped


def located(
    name: str, folders: Sequence[pathlib.Path], is_folder: bool = False
) -> pathlib.Path | None:
    """A file or folder of which a path is given that may be one of another machine.

    The first parts of the path are left out until there is such a file in one of the
    folders, as those of Label Studio's server or another user's home.

    Args:
      name: the path.
      folders: where it may begin.
      is_folder: whether a folder is meant.
    """
    exists = os.path.isdir if is_folder else os.path.isfile
    parts = [
        part
        for part in name.replace("\\", "/").split("/")
        if part not in ("", ".", "..") and "\0" not in part
    ]
    for start in range(len(parts)):
        for folder in folders:
            path = folder.joinpath(*parts[start:])
            if exists(path):
                return path
    return None


def size_of(path: pathlib.Path) -> Size:
    """Width and height of an image as it is stored; huge if it cannot be read.

    Decoding says what is wrong with it.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except Exception:  # Pillow raises any
        return HUGE, HUGE


def twice(paths: Iterable[pathlib.Path]) -> pathlib.Path | None:
    """The first path that was there before; None if all differ."""
    seen: set[pathlib.Path] = set()
    for path in paths:
        if path in seen:
            return path
        seen.add(path)
    return None
