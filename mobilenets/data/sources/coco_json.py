"""Boxes in COCO's JSON: cocodataset.org/#format-data, "Object Detection"."""

import dataclasses
import itertools
import json
import pathlib
import urllib.parse
from collections.abc import Iterator
from typing import Any

from mobilenets.data.orientation import Size
from mobilenets.data.sources.annotations import (
    HUGE,
    Corners,
    Faults,
    ListedBox,
    ListedImage,
    Listing,
    located,
    size_of,
)
from mobilenets.data.sources.division import WHOLE
from mobilenets.errors import UserError

ROBOFLOW, LABEL_STUDIO, PREFIX = "_annotations.coco.json", "result.json", "instances_"


@dataclasses.dataclass(frozen=True)
class Split:
    """What a file says, as it says it."""

    path: pathlib.Path
    names: dict[Any, str]  # of the categories by their ids
    listed_ids: list[int | str]  # of all images, also of those that are missing
    images: dict[int | str, tuple[pathlib.Path, Size]]  # by their ids
    annotations: list


class CocoLayout:
    """A folder with COCO's JSON, as COCO itself, CVAT, Roboflow or Label Studio has it.

    Of each split: SPLIT/_annotations.coco.json beside the images; or
    annotations/instances_SPLIT.json, with the images in SPLIT, images/SPLIT or images.
    Without splits: _annotations.coco.json or result.json, whose paths begin anywhere.
    """

    format = "COCO JSON"

    def __init__(self, root: pathlib.Path):
        self._root = root
        self._files: dict[str, tuple[pathlib.Path, list[pathlib.Path]]] = {}
        for path in sorted(root.glob(f"*/{ROBOFLOW}")):
            self._files[path.parent.name] = path, [path.parent]
        for path in sorted(root.glob(f"annotations/{PREFIX}*.json")):
            split = path.stem.removeprefix(PREFIX)
            folders = [root / split, root / "images" / split, root / "images", root]
            self._files.setdefault(split, (path, folders))
        for name in (ROBOFLOW, LABEL_STUDIO):
            if not self._files and (root / name).is_file():
                self._files[WHOLE] = root / name, [root, root / "images"]

    @property
    def splits(self) -> list[str]:
        """See `Layout`."""
        return sorted(self._files)

    def read(self, split: str, dropped: Faults) -> Listing:
        """See `Layout`."""
        found = self.parsed(split, dropped)
        names, listed = found.names, found.images
        boxes = _boxes_by_image(found.annotations, names, dropped)
        known = {key: boxes.pop(key, []) for key in found.listed_ids}
        images = [
            ListedImage(path, image_id, size, known[image_id])
            for image_id, (path, size) in listed.items()
        ]
        for box in itertools.chain.from_iterable(boxes.values()):
            dropped.add("boxes of an image that the file does not list", box.where)
        return Listing({name: number for number, name in names.items()}, images)

    def parsed(self, split: str, dropped: Faults, outlines: bool = False) -> Split:
        """The categories, photographs and annotations of a split.

        Args:
          split: one of `splits`.
          dropped: gets the photographs that are missing.
          outlines: whether the annotations have "segmentation", nine tenths of COCO's
            file.

        Raises:
          UserError: the file is not as it should be.
        """
        path, folders = self._files[split]
        content = _parsed(path, outlines)
        names = _class_names(content["categories"], path)
        entries = _entries(content["images"], path)
        images = {}
        for image_id, entry in entries.items():
            image = _found(entry["file_name"], folders)
            if image:
                images[image_id] = image, _size(entry, image)
            else:
                dropped.add("photographs that are missing", entry["file_name"])
        return Split(path, names, [*entries], images, content["annotations"])


def _parsed(path: pathlib.Path, outlines: bool) -> dict[str, list]:
    """The file's three lists."""

    def without_outlines(value: dict[str, Any]) -> dict[str, Any]:
        value.pop("segmentation", None)
        return value

    hook = None if outlines else without_outlines
    try:
        with path.open(encoding="utf-8-sig") as file:
            content = json.load(file, object_hook=hook)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path} is not valid JSON, or is cut short (line {error.lineno}, column "
            f"{error.colno}): export or copy it again."
        ) from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"Cannot read {path}: {error}.") from None
    lists = ("images", "annotations", "categories")
    if isinstance(content, dict):
        lacking = [key for key in lists if not isinstance(content.get(key), list)]
    else:
        lacking = [*lists]
    if lacking:
        raise UserError(
            f"{path} has no list of {' and '.join(lacking)}, which COCO's format needs:"
            " export it as COCO JSON with the objects."
        )
    return content


def _class_names(categories: list, path: pathlib.Path) -> dict[Any, str]:
    """The name of each category by its id, in the order of the ids."""
    names: dict[Any, str] = {}
    for category in categories:
        match category:
            case {"id": int() | str() as number, "name": str(name)} if name:
                pass
            case _:
                raise UserError(
                    f"{path} has a category without id or name: {_shown(category)}."
                )
        if number in names or name in names.values():
            raise UserError(
                f"{path} has two categories with the id {number!r} or the name "
                f"{name!r}: give each its own."
            )
        names[number] = name
    return dict(sorted(names.items(), key=lambda item: (str(type(item[0])), item[0])))


def _entries(images: list, path: pathlib.Path) -> dict[int | str, dict[str, Any]]:
    """What the file says of each image, by its id."""
    entries: dict[int | str, dict[str, Any]] = {}
    for entry in images:
        match entry:
            case {"id": int() | str() as image_id, "file_name": str(name)} if name:
                pass
            case _:
                raise UserError(
                    f"{path} has an image without id or file_name: {_shown(entry)}."
                )
        if image_id in entries:
            raise UserError(
                f"{path} has two images with the id {image_id!r}, "
                f"{entries[image_id]['file_name']} and {name}, so it is unknown whose "
                "its boxes are: give each its own id."
            )
        entries[image_id] = entry
    return entries


def _shown(entry: Any) -> str:
    text = json.dumps(entry)
    return text if len(text) < 100 else text[:99] + "…"


def _boxes_by_image(
    annotations: list, names: dict[Any, str], dropped: Faults
) -> dict[Any, list[ListedBox]]:
    by_image: dict[Any, list[ListedBox]] = {}
    for place, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            dropped.add("annotations that are no boxes", f"number {place}")
            continue
        where = f"annotation {annotation.get('id', f'number {place}')}"
        corners = _corners(annotation.get("bbox"))
        if corners is None:
            dropped.add("annotations that are no boxes", where)
            continue
        category, image_id = annotation.get("category_id"), annotation.get("image_id")
        if not isinstance(category, int | str) or category not in names:
            dropped.add("boxes whose class the file does not list", where)
            continue
        box = ListedBox(
            corners,
            names[category],
            bool(annotation.get("iscrowd", 0)),
            _area(annotation.get("area")),
            where,
        )
        key = image_id if isinstance(image_id, int | str) else None
        by_image.setdefault(key, []).append(box)
    return by_image


def _corners(bbox: Any) -> Corners | None:
    """Of x, y, width and height; None if these are no numbers."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    if not all(isinstance(value, int | float) for value in bbox):
        return None
    try:
        x, y, width, height = map(float, bbox)
    except OverflowError:
        return None
    return y, x, y + height, x + width


def _area(value: Any) -> float | None:
    """The area of the object; None where the file does not have it."""
    known = isinstance(value, int | float) and 0 < value < HUGE
    return float(value) if known else None


def _found(file_name: str, folders: list[pathlib.Path]) -> pathlib.Path | None:
    paths = (located(spelling, folders) for spelling in _spellings(file_name))
    return next(filter(None, paths), None)


def _spellings(file_name: str) -> Iterator[str]:
    """The name, and what it means if it is an address as Label Studio writes them."""
    yield file_name
    if "?d=" in file_name or "%" in file_name:
        yield urllib.parse.unquote(file_name.partition("?d=")[2])
        yield urllib.parse.unquote(file_name)


def _size(entry: dict[str, Any], path: pathlib.Path) -> tuple[float, float]:
    """Width and height for which the boxes are given."""
    match entry:
        case {"width": int() | float() as width, "height": int() | float() as height}:
            if 0 < width < HUGE and 0 < height < HUGE:
                return width, height
    return size_of(path)
