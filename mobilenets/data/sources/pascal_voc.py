"""Boxes in Pascal VOC's XML: host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc."""

import pathlib
import xml.etree.ElementTree as ElementTree

from mobilenets.data.orientation import Size
from mobilenets.data.sources import photographs
from mobilenets.data.sources.annotations import (
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

_FOLDER, _SETS = "Annotations", "ImageSets/Main"


class PascalVocLayout:
    """A folder with an XML file for each photograph.

    Either Annotations/*.xml with the photographs in JPEGImages or images, and the names
    of each split in ImageSets/Main/SPLIT.txt, as in VOC's own; or the files beside the
    photographs, in SPLIT/*.xml, or without splits.

    VOC counts pixels from 1, and xmax is the last pixel of a box: the box ends there.
    An object that is `difficult` is a crowd here, so that it counts neither for nor
    against a detector, as in VOC's evaluation.
    """

    format = "Pascal VOC"

    def __init__(self, root: pathlib.Path):
        self._files: dict[str, list[pathlib.Path]] = {}
        self._folders: list[pathlib.Path] = []
        if (root / _FOLDER).is_dir():
            self._folders = [root / "JPEGImages", root / "images", root]
            for path in sorted((root / _SETS).glob("*.txt")):
                names = _names_in(path)
                if names:
                    files = [root / _FOLDER / f"{name}.xml" for name in names]
                    self._files[path.stem] = files
            if not self._files and (files := sorted((root / _FOLDER).glob("*.xml"))):
                self._files[WHOLE] = files
            return
        if files := sorted(root.glob("*.xml")):
            self._files[WHOLE] = files
        for path in sorted(root.glob("*/*.xml")):
            if WHOLE not in self._files:
                self._files.setdefault(path.parent.name, []).append(path)

    @property
    def splits(self) -> list[str]:
        """See `Layout`."""
        return list(self._files)

    def read(self, split: str, dropped: Faults) -> Listing:
        """See `Layout`."""
        images, names = [], set()
        for number, path in enumerate(self._files[split], start=1):
            if not path.is_file():
                dropped.add("photographs without an XML file", path.stem)
                continue
            root = _parsed(path)
            image = self._image_of(path, root)
            if not image:
                dropped.add("photographs that are missing", path.stem)
                continue
            boxes = _boxes(path, root, dropped)
            names |= {box.name for box in boxes}
            images.append(ListedImage(image, number, _size(root, image), boxes))
        ids = {name: place for place, name in enumerate(sorted(names), start=1)}
        return Listing(ids, images)

    def _image_of(
        self, path: pathlib.Path, root: ElementTree.Element
    ) -> pathlib.Path | None:
        """The photograph of the file's own name, or the one that it names."""
        names = [path.stem + suffix for suffix in photographs.SUFFIXES]
        given = (root.findtext("filename") or "").strip()
        if pathlib.PurePath(given).suffix.lower() in photographs.SUFFIXES:
            names.append(given)
        folders = [*self._folders, path.parent]
        return next(filter(None, (located(name, folders) for name in names)), None)


def _names_in(path: pathlib.Path) -> list[str]:
    """The photographs of a split; none of a file that says which have some class."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}.") from None
    rows = [row for row in rows if row]
    return [row[0] for row in rows] if all(len(row) == 1 for row in rows) else []


def _parsed(path: pathlib.Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(
            f"{path} is not valid XML, or is cut short ({error}): export or copy it "
            "again."
        ) from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error}.") from None


def _size(root: ElementTree.Element, image: pathlib.Path) -> Size:
    """Width and height for which the boxes are given."""
    try:
        width = float(root.findtext("size/width", ""))
        height = float(root.findtext("size/height", ""))
    except ValueError:
        return size_of(image)
    return (width, height) if width > 0 and height > 0 else size_of(image)


def _boxes(
    path: pathlib.Path, root: ElementTree.Element, dropped: Faults
) -> list[ListedBox]:
    boxes = []
    for number, item in enumerate(root.findall("object"), start=1):
        where = f"object {number} of {path.name}"
        name, corners = (item.findtext("name") or "").strip(), _corners(item)
        if corners is None:
            dropped.add("objects that are no boxes", where)
        elif not name:
            dropped.add("boxes without a class", where)
        else:
            difficult = (item.findtext("difficult") or "").strip() == "1"
            boxes.append(ListedBox(corners, name, difficult, None, where))
    return boxes


def _corners(item: ElementTree.Element) -> Corners | None:
    """From the first and last pixel, counted from 1, to where they begin and end."""
    keys = ("ymin", "xmin", "ymax", "xmax")
    try:
        top, left, bottom, right = (
            float(item.findtext(f"bndbox/{k}", "")) for k in keys
        )
    except ValueError:
        return None
    return top - 1, left - 1, bottom, right
