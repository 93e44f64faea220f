"""Masks of the outlines in COCO's JSON: polygons, and RLE as pycocotools has it."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from mobilenets.data.masks import BACKGROUND, MOST_CLASSES, UNLABELLED
from mobilenets.data.sources import photographs
from mobilenets.data.sources.annotations import Faults
from mobilenets.data.sources.coco_json import CocoLayout
from mobilenets.data.sources.mask_files import MaskedImage, MaskListing
from mobilenets.errors import UserError

# Of an image; Pillow decodes no more, and nothing is known of an unreadable one.
_MOST_PIXELS = 2**28
_FAR = 10  # sides of the image; a point beyond that is no point of an outline


@dataclasses.dataclass(frozen=True)
class OutlinedMask:
    """A mask that is drawn of outlines, the last one in front."""

    origin: str
    size: tuple[int, int]  # height and width
    outlines: tuple[tuple[int, bytes], ...]  # numbers of classes and RLE

    def read(self) -> np.ndarray:
        """See `mask_files.AnyMask`."""
        from pycocotools import mask as coco_mask

        mask = np.zeros(self.size, np.uint8)
        for number, runs in self.outlines:
            encoded: Any = {"size": list(self.size), "counts": runs}
            mask[coco_mask.decode(encoded) > 0] = number
        return mask


class CocoMaskLayout:
    """The outlines of objects as masks: class 0 is the background, then the categories.

    Where objects overlap, the smaller one is in front: the files do not say which one
    is. A crowd is unlabelled where no object is in front of it. A file has the layouts
    of `CocoLayout`.
    """

    format = "COCO JSON, as masks"

    def __init__(self, root: pathlib.Path):
        self._layout = CocoLayout(root)

    @property
    def splits(self) -> list[str]:
        """See `Layout`."""
        return self._layout.splits

    def read(self, split: str, dropped: Faults) -> MaskListing:
        """See `Layout`."""
        found = self._layout.parsed(split, dropped, outlines=True)
        names = [BACKGROUND, *(n for n in found.names.values() if n != BACKGROUND)]
        if len(names) > MOST_CLASSES:
            raise UserError(
                f"{found.path} has {len(names) - 1} categories, but masks have at most "
                f"{MOST_CLASSES} classes with the background."
            )
        numbers = {key: names.index(name) for key, name in found.names.items()}
        by_image = _by_image(found.annotations)
        images = []
        for image_id, (path, (width, height)) in found.images.items():
            if width * height > _MOST_PIXELS:
                dropped.add("photographs without a size", photographs.shown(path))
                continue
            size = round(height), round(width)
            outlines = _in_order(by_image.get(image_id, []), size, numbers, dropped)
            origin = f"{photographs.shown(found.path)}, image {image_id}"
            images.append(MaskedImage(path, OutlinedMask(origin, size, outlines)))
        return MaskListing(names, photographs.shown(found.path), images)


def _by_image(annotations: list) -> dict[Any, list[Mapping[str, Any]]]:
    """The annotations of each image by its id."""
    by_image: dict[Any, list[Mapping[str, Any]]] = {}
    for annotation in annotations:
        match annotation:
            case {"image_id": int() | str() as image_id}:
                by_image.setdefault(image_id, []).append(annotation)
    return by_image


def _in_order(
    annotations: list[Mapping[str, Any]],
    size: tuple[int, int],
    numbers: Mapping[Any, int],
    dropped: Faults,
) -> tuple[tuple[int, bytes], ...]:
    """The outlines of an image in the order in which they are drawn: the largest first.

    Crowds are drawn before all others.
    """
    crowds, objects = [], []
    for annotation in annotations:
        where = f"annotation {annotation.get('id', 'without id')}"
        category = annotation.get("category_id")
        runs = _encoded(annotation.get("segmentation"), size)
        if not isinstance(category, int | str) or category not in numbers:
            dropped.add("objects whose class the file does not list", where)
        elif runs is None:
            dropped.add("objects without an outline", where)
        elif annotation.get("iscrowd", 0):
            crowds.append((UNLABELLED, runs))
        else:
            objects.append((numbers[category], runs))
    objects.sort(key=lambda outline: _area(outline[1], size), reverse=True)
    return (*crowds, *objects)


def _area(runs: bytes, size: tuple[int, int]) -> int:
    from pycocotools import mask as coco_mask

    encoded: Any = {"size": list(size), "counts": runs}
    return int(coco_mask.area(encoded))


def _encoded(segmentation: Any, size: tuple[int, int]) -> bytes | None:
    """The compressed RLE of polygons or of any RLE; None if it is none of an image."""
    from pycocotools import mask

    coco_mask: Any = mask  # its types are narrower than what it takes
    height, width = size
    try:
        match segmentation:
            case [list(), *_]:
                if not all(_is_polygon(p, size) for p in segmentation):
                    return None
                parts = coco_mask.frPyObjects(segmentation, height, width)
                return coco_mask.merge(parts)["counts"]
            case {"size": [int() as h, int() as w], "counts": list(counts)}:
                good = all(isinstance(n, int) and n >= 0 for n in counts)
                if (h, w) != size or not good or sum(counts) != h * w:
                    return None
                return coco_mask.frPyObjects(segmentation, height, width)["counts"]
            case {"size": [int() as h, int() as w], "counts": str(text)}:
                if (h, w) != size or _pixels_of(text) != h * w:
                    return None
                return text.encode()
    except (TypeError, ValueError, OverflowError):
        return None
    return None


def _is_polygon(points: Any, size: tuple[int, int]) -> bool:
    """Whether it is x, y, x, y and so on of at least three points near the image."""
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        return False
    most = _FAR * max(size)
    return all(isinstance(n, int | float) and abs(n) <= most for n in points)


def _pixels_of(text: str) -> int | None:
    """How many pixels a compressed RLE is of; None if it is none.

    Checked here, since pycocotools writes where the runs lead. Each run is a number in
    base 32, its lowest digits first, from the fourth on as the difference to the one
    two before it: `rleFrString` in pycocotools' maskApi.c.
    """
    runs: list[int] = []
    value, place = 0, 0
    for letter in text:
        digit = ord(letter) - 48
        if not 0 <= digit < 64 or place > 8:
            return None
        value |= (digit & 31) << (5 * place)
        place += 1
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << (5 * place)
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            return None
        runs.append(value)
        value, place = 0, 0
    return None if place else sum(runs)
