"""Masks in files beside the photographs: which belongs to which, and their classes."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mobilenets.data.geometry import Color
from mobilenets.data.masks import MOST_CLASSES, ColorMap, decode_mask
from mobilenets.data.sources import photographs
from mobilenets.data.sources.annotations import Faults, located
from mobilenets.data.sources.division import WHOLE
from mobilenets.errors import UserError

LABEL_MAP, CLASSES = "labelmap.txt", "classes.txt"

# Those of Pascal VOC 2012, in their order.
VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car"),
    *("cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike", "person"),
    *("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


class AnyMask(Protocol):
    """A mask that is read when it is needed."""

    @property
    def origin(self) -> str:
        """Where it is, for messages."""
        ...

    def read(self) -> np.ndarray:
        """The mask, see `masks.decode_mask`.

        Raises:
          BrokenImage: it cannot be read.
          UserError: it is none.
        """
        ...


@dataclasses.dataclass(frozen=True)
class MaskFile:
    """A mask that is an image."""

    path: str
    color_map: ColorMap | None

    @property
    def origin(self) -> str:
        """See `AnyMask`."""
        return self.path

    def read(self) -> np.ndarray:
        """See `AnyMask`."""
        content = photographs.read(pathlib.Path(self.path))
        return decode_mask(content, self.path, self.color_map)


@dataclasses.dataclass(frozen=True)
class MaskedImage:
    """A photograph and its mask, as files have them."""

    path: pathlib.Path
    mask: AnyMask


@dataclasses.dataclass(frozen=True)
class MaskListing:
    """All that a split's files say."""

    names: Sequence[str] | None  # of the classes by their numbers; None: unknown
    names_source: str  # what says so, for messages
    images: list[MaskedImage]


class MaskFilesLayout:
    """masks/SPLIT/NAME.png for images/SPLIT/NAME.jpg, or for SPLIT/NAME.jpg.

    Without splits masks/NAME.png for images/NAME.jpg.
    """

    format = "masks"

    def __init__(self, root: pathlib.Path):
        self._root, self._masks = root, root / "masks"

    @property
    def splits(self) -> list[str]:
        """See `Layout`."""
        if not self._masks.is_dir():
            return []
        inner = photographs.folders(self._masks, photographs.Ignored())
        return inner or ([WHOLE] if photographs.are_in(self._masks) else [])

    def read(self, split: str, dropped: Faults) -> MaskListing:
        """See `Layout`."""
        names, color_map, source = class_names(self._root)
        part = "" if split == WHOLE else split
        masks = _by_name(self._masks / part, dropped)
        images = []
        for name, path in _by_name(self._photographs(part), dropped).items():
            mask = masks.pop(name, None)
            if mask is None:
                dropped.add("photographs without a mask", photographs.shown(path))
            elif mask.suffix.lower() != ".png":
                dropped.add("masks that are no PNG", photographs.shown(mask))
            else:
                images.append(MaskedImage(path, MaskFile(str(mask), color_map)))
        for mask in masks.values():
            dropped.add("masks without a photograph", photographs.shown(mask))
        return MaskListing(names, source, images)

    def _photographs(self, part: str) -> pathlib.Path:
        """The folder of a split's photographs."""
        folders = [self._root / "images" / part]
        folders += [self._root / part] if part else []
        for folder in folders:
            if folder.is_dir():
                return folder
        expected = " or ".join(map(str, folders))
        raise UserError(
            f"{self._masks / part} has masks, but there is no folder of their "
            f"photographs: put them into {expected}."
        )


class VocMasksLayout:
    """SegmentationClass/NAME.png for JPEGImages/NAME.jpg: Pascal VOC's, and CVAT's.

    ImageSets/Segmentation/SPLIT.txt has the names of each split. The classes are those
    of labelmap.txt or classes.txt; without them Pascal VOC's.
    """

    format = "Pascal VOC's masks"

    def __init__(self, root: pathlib.Path):
        self._root, self._masks = root, root / "SegmentationClass"

    @property
    def splits(self) -> list[str]:
        """See `Layout`."""
        if not self._masks.is_dir():
            return []
        return [path.stem for path in self._sets] or [WHOLE]

    @property
    def _sets(self) -> list[pathlib.Path]:
        return sorted((self._root / "ImageSets/Segmentation").glob("*.txt"))

    def read(self, split: str, dropped: Faults) -> MaskListing:
        """See `Layout`."""
        names, color_map, source = class_names(self._root)
        if names is None:
            names, source = VOC_CLASSES, "Pascal VOC"
        images = []
        for name in self._names_in(split):
            mask = self._masks / f"{name}.png"
            image = self._photograph(name)
            if image is None:
                dropped.add("photographs that are missing", name)
            elif not mask.is_file():
                dropped.add("photographs without a mask", photographs.shown(image))
            else:
                images.append(MaskedImage(image, MaskFile(str(mask), color_map)))
        return MaskListing(names, source, images)

    def _names_in(self, split: str) -> list[str]:
        for path in self._sets:
            if path.stem == split:
                return _lines(path)
        return sorted(path.stem for path in self._masks.glob("*.png"))

    def _photograph(self, name: str) -> pathlib.Path | None:
        folders = [self._root / "JPEGImages", self._root / "images", self._root]
        files = (located(name + end, folders) for end in photographs.SUFFIXES)
        return next(filter(None, files), None)


def class_names(
    root: pathlib.Path,
) -> tuple[tuple[str, ...] | None, ColorMap | None, str]:
    """The classes of a folder with masks.

    Args:
      root: the folder, perhaps with labelmap.txt or classes.txt.

    Returns:
      The names by the numbers of the classes, None if there is no such file; their
      colours, None if only names are known; the file, for messages.

    Raises:
      UserError: the file is not as it should be.
    """
    path = root / LABEL_MAP
    if path.is_file():
        names, colors = _label_map(path)
        _check_names(path, names)
        return names, ColorMap(colors, LABEL_MAP), LABEL_MAP
    path = root / CLASSES
    if path.is_file():
        names = tuple(_lines(path))
        _check_names(path, names)
        return names, None, CLASSES
    return None, None, ""


def _label_map(path: pathlib.Path) -> tuple[tuple[str, ...], tuple[Color, ...]]:
    """CVAT's form: a line "name:red,green,blue:parts:actions" for each class.

    A class without a colour has that of Pascal VOC for its number.
    """
    names, colors = [], []
    for line in _lines(path):
        if line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        text = rest.partition(":")[0].strip()
        names.append(name.strip())
        colors.append(_color(text, line, path) if text else voc_color(len(colors)))
    for color in colors:
        if colors.count(color) > 1:
            raise UserError(
                f"{path} has the colour {','.join(map(str, color))} twice: give each "
                "class its own."
            )
    return tuple(names), tuple(colors)


def _color(text: str, line: str, path: pathlib.Path) -> Color:
    try:
        red, green, blue = (int(part) for part in text.split(","))
    except ValueError:
        red = green = blue = -1
    if not all(0 <= value <= 255 for value in (red, green, blue)):
        raise UserError(
            f"{path} has the line {line!r}, but lines are like cat:128,0,0:: with red, "
            "green and blue from 0 to 255."
        )
    return red, green, blue


def voc_color(number: int) -> Color:
    """The colour that Pascal VOC gives to a number: its bits, the lowest ones first.

    >>> voc_color(0), voc_color(1), voc_color(15), voc_color(255)
    ((0, 0, 0), (128, 0, 0), (192, 128, 128), (224, 224, 192))
    """
    color = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            bit = (number >> (3 * place + channel)) & 1
            color[channel] |= bit << (7 - place)
    return color[0], color[1], color[2]


def _check_names(path: pathlib.Path, names: Sequence[str]) -> None:
    if not names:
        raise UserError(f"{path} names no class: write one in each line.")
    if len(names) > MOST_CLASSES:
        raise UserError(
            f"{path} names {len(names)} classes, but masks have at most {MOST_CLASSES}."
        )
    for name in names:
        if not name or names.count(name) > 1:
            raise UserError(
                f"{path} has the class {name!r} twice: give each its own name."
                if name
                else f"{path} has a class without a name."
            )


def _lines(path: pathlib.Path) -> list[str]:
    """The lines of a text file that are not empty."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}.") from None
    return [line.strip() for line in lines if line.strip()]


def _by_name(folder: pathlib.Path, dropped: Faults) -> dict[str, pathlib.Path]:
    """The images in a folder by their paths within it, without their suffixes."""
    found: dict[str, pathlib.Path] = {}
    for path in photographs.find(folder, photographs.Ignored()):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            dropped.add(
                "images of a name that another one has", photographs.shown(path)
            )
        else:
            found[name] = path
    return found
