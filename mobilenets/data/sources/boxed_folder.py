"""Photographs with boxes, in any of the formats that annotation tools write."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from mobilenets.data.boxes import Boxes
from mobilenets.data.orientation import on_upright_image
from mobilenets.data.sources import photographs
from mobilenets.data.sources.annotations import (
    Corners,
    Faults,
    Layout,
    ListedBox,
    ListedImage,
    because,
    cleaned,
    counted,
    divided,
    read_split,
    twice,
)
from mobilenets.data.sources.base import Record
from mobilenets.data.sources.coco_json import CocoLayout
from mobilenets.data.sources.pascal_voc import PascalVocLayout
from mobilenets.data.sources.yolo import YoloLayout
from mobilenets.errors import UserError
from mobilenets.runtime.console import console

# The first one of which a folder has files is its format.
_LAYOUTS: tuple[Callable[[pathlib.Path], Layout], ...] = (
    CocoLayout,
    YoloLayout,
    PascalVocLayout,
)


class BoxedFolderSource:
    """The photographs of one split, with their boxes, in the order of the files.

    The format is recognised by what is in the folder. The classes are those of which
    the split has a box, in the order of the files; others have nothing to learn or to
    evaluate. A network's classes are found by their names, whatever their numbers.

    What is wrong is dropped: photographs that are missing; boxes without area, outside
    of their photograph, with numbers that are not finite, of no listed class or image.
    Boxes that reach beyond their photograph are clipped. One line says all that.
    Photographs without boxes stay: the network learns from them what is background.

    Args:
      folder: the root.
      split: as the files call it.
      eval_fraction: above 0 the photographs of the only split are divided instead: this
        part is "validation", the others "train"; see `division.side`.

    Raises:
      UserError: the folder is not as it should be, has no such split, or not a single
        box.
    """

    upright = True

    def __init__(self, folder: str, split: str, eval_fraction: float = 0.0):
        root = pathlib.Path(folder).expanduser()
        if not root.is_dir():
            raise UserError(f"dataset.folder {folder} is not a folder.")
        layout = _recognised(root, folder)
        dropped, changed = Faults(), Faults()
        listing = read_split(layout, folder, split, eval_fraction, dropped)
        images = divided(listing.images, root, folder, split, eval_fraction)
        place = f"{root}, split {split},"
        _check_images(images, place, layout, dropped)
        boxes = _clean_boxes(images, dropped, changed)
        if not any(boxes):
            raise UserError(
                f"{place} has no boxes{because(dropped)}: give a folder whose "
                "photographs have some."
            )
        used = {box.name for of_image in boxes for box, _ in of_image}
        self.names = tuple(name for name in listing.category_ids if name in used)
        # Both are those of COCO's file; of other formats counted from 1.
        self.category_ids = {name: listing.category_ids[name] for name in self.names}
        self.image_ids = [image.image_id for image in images]
        self._paths = [str(image.path) for image in images]
        self._sizes = [image.size for image in images]
        self._starts = np.cumsum([0, *map(len, boxes)])
        self._boxes = _together(boxes, self.names)
        unused = [name for name in listing.category_ids if name not in used]
        console.print(
            _summary(place, layout, self, dropped, changed, unused), markup=False
        )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Record:
        path = self._paths[index]
        content = photographs.read(pathlib.Path(path))
        boxes = on_upright_image(
            self._boxes_at(index), self._sizes[index], content, path
        )
        return Record(content, boxes, path)

    @property
    def box_counts(self) -> np.ndarray:
        """How many boxes each photograph has, [photographs] int64."""
        return np.diff(self._starts)

    def _boxes_at(self, index: int) -> Boxes:
        return self._boxes[self._starts[index] : self._starts[index + 1]]


def _recognised(root: pathlib.Path, folder: str) -> Layout:
    """The layout of the folder.

    Raises:
      UserError: it is none that is known.
    """
    for layout in (kind(root) for kind in _LAYOUTS):
        if layout.splits:
            return layout
    raise UserError(
        f"dataset.folder {folder} has no boxes in a known format: expected are "
        "SPLIT/_annotations.coco.json or annotations/instances_SPLIT.json (COCO), "
        "data.yaml (YOLO), or Annotations/*.xml (Pascal VOC)."
    )


def _check_images(
    images: list[ListedImage], place: str, layout: Layout, dropped: Faults
) -> None:
    """Raises UserError if there are no photographs, or one is listed twice."""
    if not images:
        raise UserError(
            f"{place} has no photographs{because(dropped)}: give the folder in which "
            f"the files of {layout.format} and the photographs are."
        )
    path = twice(image.path for image in images)
    if path:
        raise UserError(
            f"{place} lists {path} twice, so it is unknown which boxes it has: leave "
            "one out, or rename one of two photographs of the same name."
        )


def _clean_boxes(
    images: list[ListedImage], dropped: Faults, changed: Faults
) -> list[list[tuple[ListedBox, Corners]]]:
    """The boxes that are kept of each image, with the part that is on it."""
    return [
        [
            (box, corners)
            for box in image.boxes
            if (corners := cleaned(box, image.size, dropped, changed))
        ]
        for image in images
    ]


def _together(
    boxes: list[list[tuple[ListedBox, Corners]]], names: Sequence[str]
) -> Boxes:
    """The boxes of all images, one after the other.

    Few large arrays, since worker processes get a copy of them.
    """
    numbers = {name: number for number, name in enumerate(names)}
    rows = [row for of_image in boxes for row in of_image]
    corners = np.array([corners for _, corners in rows], np.float32)
    areas = [
        (c[2] - c[0]) * (c[3] - c[1]) if box.area is None else box.area
        for box, c in rows
    ]
    return Boxes(
        corners,
        np.array([numbers[box.name] for box, _ in rows], np.int32),
        np.array([box.crowd for box, _ in rows], bool),
        np.array(areas, np.float32),
    )


def _summary(
    place: str,
    layout: Layout,
    source: BoxedFolderSource,
    dropped: Faults,
    changed: Faults,
    unused: Sequence[str],
) -> str:
    """One line on what was found."""
    counts = source.box_counts
    line = (
        f"{place} in {layout.format}: {counted(len(source), 'photograph')}, "
        f"{counted(counts.sum(), 'box', 'boxes')} of "
        f"{counted(len(source.names), 'class', 'classes')}"
    )
    if without := int((counts == 0).sum()):
        line += f", {counted(without, 'photograph')} without boxes"
    if str(dropped):
        line += f"; dropped: {dropped}"
    if str(changed):
        line += f"; clipped: {changed}"
    if unused:
        shown = ", ".join(unused[:5]) + (", …" if unused[5:] else "")
        line += f"; classes without boxes, left out: {shown}"
    return line + "."
