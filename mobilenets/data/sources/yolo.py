"""Boxes in YOLO's text files: docs.ultralytics.com/datasets/detect."""

import math
import pathlib
from typing import Any

import yaml

from mobilenets.data.orientation import FRACTIONS
from mobilenets.data.sources import photographs
from mobilenets.data.sources.annotations import (
    Corners,
    Faults,
    ListedBox,
    ListedImage,
    Listing,
    located,
)
from mobilenets.data.sources.division import WHOLE
from mobilenets.errors import UserError

_SPLITS = ("train", "val", "test")
_YAML, _CLASSES = "data.yaml", "classes.txt"


class YoloLayout:
    """A folder with data.yaml, which names the classes and where each split is.

    The labels of images/a.jpg are in labels/a.txt: a line of "class x y width height"
    for each box, of its centre, as fractions of the image; or "class x y x y …", a
    polygon. A photograph without such a file has no boxes. Without data.yaml, as Label
    Studio exports it, classes.txt has the names, and images and labels are not divided.
    """

    format = "YOLO"

    def __init__(self, root: pathlib.Path):
        self._root = root
        self._places: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}  # by the number in the files of boxes
        self._bases = [root]  # where places may begin
        if (root / _YAML).is_file():
            self._read_yaml(root / _YAML)
        elif (root / _CLASSES).is_file() and (root / "labels").is_dir():
            lines = _lines(root / _CLASSES)
            self._names = {str(place): name for place, name in enumerate(lines)}
            self._places = {WHOLE: ["images"]}

    @property
    def splits(self) -> list[str]:
        """See `Layout`."""
        return list(self._places)

    def read(self, split: str, dropped: Faults) -> Listing:
        """See `Layout`."""
        paths = [
            p for place in self._places[split] for p in self._images(place, dropped)
        ]
        by_labels: dict[pathlib.Path, pathlib.Path] = {}
        images = []
        for number, path in enumerate(paths, start=1):
            labels = _labels_of(path)
            other = by_labels.setdefault(labels, path)
            if other.name != path.name:
                raise UserError(
                    f"{other} and {path.name} have the same file of boxes, {labels}: "
                    "rename one of them, and its boxes."
                )
            boxes = _boxes(labels, self._names, dropped) if labels.is_file() else []
            images.append(ListedImage(path, number, FRACTIONS, boxes))
        for folder in sorted({labels.parent for labels in by_labels}):
            for path in sorted(folder.glob("*.txt")):
                if path not in by_labels and path.name != _CLASSES:
                    dropped.add("files of boxes without a photograph", path.name)
        ids = {name: place for place, name in enumerate(self._names.values(), start=1)}
        return Listing(ids, images)

    def _read_yaml(self, path: pathlib.Path) -> None:
        content = _parsed(path)
        match content.get("names"):
            case list() as names if names:
                pairs = enumerate(names)
            case dict() as names if names:
                pairs = names.items()
            case _:
                raise UserError(
                    f"{path} has no names of classes: give them as names: [cat, dog]."
                )
        self._names = {str(number): str(name) for number, name in pairs}
        if len({*self._names.values()}) < len(self._names):
            raise UserError(f"{path} has two classes of the same name: rename one.")
        for split in _SPLITS:
            given = content.get(split)
            places = given if isinstance(given, list) else [given]
            if given and all(isinstance(place, str) for place in places):
                self._places[split] = [str(place) for place in places]
        if not self._places:
            raise UserError(
                f"{path} has no splits: say where the photographs are, as train: "
                "train/images."
            )
        base = located(str(content.get("path") or ""), [self._root.parent], True)
        self._bases = [*([base] if base else []), self._root]

    def _images(self, place: str, dropped: Faults) -> list[pathlib.Path]:
        """The photographs of a folder, or those that a text file lists."""
        if folder := located(place, self._bases, is_folder=True):
            return photographs.find(folder, photographs.Ignored())
        listed = located(place, self._bases)
        if not listed or listed.suffix != ".txt":
            raise UserError(
                f"The photographs of {self._root} should be in {place}, but there is no"
                f" such folder: correct {_YAML}."
            )
        images = []
        for line in _lines(listed):
            if path := located(line, self._bases):
                images.append(path)
            else:
                dropped.add("photographs that are missing", line)
        return images


def _parsed(path: pathlib.Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = error.problem or "it cannot be parsed"
        raise UserError(f"{path}{place}: this is not valid YAML: {reason}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML: {reason}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a list of keys and values, as YOLO's is.")
    return content


def _lines(path: pathlib.Path) -> list[str]:
    """The lines of a file that are not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}.") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _labels_of(image: pathlib.Path) -> pathlib.Path:
    """The file of boxes: beside the image, or in "labels" where it is in "images"."""
    parts = [*image.with_suffix(".txt").parts]
    for place in range(len(parts) - 2, 0, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return pathlib.Path(*parts)


def _boxes(
    path: pathlib.Path, names: dict[str, str], dropped: Faults
) -> list[ListedBox]:
    boxes = []
    for number, line in enumerate(_lines(path), start=1):
        where = f"line {number} of {path.name}"
        name, *values = line.split()
        corners = _corners(values)
        if corners is None:
            dropped.add("lines that are no boxes", where)
        elif name not in names:
            dropped.add("boxes whose class the file does not list", where)
        else:
            boxes.append(ListedBox(corners, names[name], False, None, where))
    return boxes


def _corners(values: list[str]) -> Corners | None:
    """Of a centre, width and height, or around the points of a polygon."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    if len(numbers) == 4:
        x, y, width, height = numbers
        return y - height / 2, x - width / 2, y + height / 2, x + width / 2
    if len(numbers) < 6 or len(numbers) % 2:
        return None
    if not all(map(math.isfinite, numbers)):
        return math.nan, math.nan, math.nan, math.nan
    xs, ys = numbers[::2], numbers[1::2]
    return min(ys), min(xs), max(ys), max(xs)
