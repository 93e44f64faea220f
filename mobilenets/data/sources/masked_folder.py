"""Photographs with masks, in any of the forms in which annotation tools write them."""

import io
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from mobilenets.data.masks import UNLABELLED
from mobilenets.data.orientation import mask_on_upright_image
from mobilenets.data.sources import photographs
from mobilenets.data.sources.annotations import (
    Faults,
    Layout,
    because,
    counted,
    divided,
    read_split,
)
from mobilenets.data.sources.base import Record
from mobilenets.data.sources.coco_masks import CocoMaskLayout
from mobilenets.data.sources.mask_counts import (
    MaskCounts,
    check_labelled,
    count_masks,
    summary,
)
from mobilenets.data.sources.mask_files import (
    MaskedImage,
    MaskFilesLayout,
    MaskListing,
    VocMasksLayout,
)
from mobilenets.errors import BrokenImage, UserError
from mobilenets.runtime.console import console

# The first one of which a folder has files is its format.
_LAYOUTS: tuple[Callable[[pathlib.Path], Layout[MaskListing]], ...] = (
    MaskFilesLayout,
    VocMasksLayout,
    CocoMaskLayout,
)


class MaskedFolderSource:
    """The photographs of one split, with their masks, in the order of the files.

    The form is recognised by what is in the folder. The classes are those that a file
    names; without such a file they are called by their numbers, from 0 to the highest
    one in the split. A network's classes are found by their names.

    All masks are read once when the source is opened: to count the pixels of each class
    and to find masks that are wrong before a run begins. Photographs without a mask,
    and masks that cannot be decoded, are dropped. One line says all that. Any other
    wrong mask is an error that names it.

    Args:
      folder: the root.
      split: as the files call it.
      eval_fraction: above 0 the photographs of the only split are divided instead: this
        part is "validation", the others "train"; see `division.side`.
      to_train: refuse a split whose labelled pixels are all of one class.

    Raises:
      UserError: the folder is not as it should be, has no such split, or a mask is
        wrong.
    """

    upright = True

    def __init__(
        self,
        folder: str,
        split: str,
        eval_fraction: float = 0.0,
        to_train: bool = False,
    ):
        root = pathlib.Path(folder).expanduser()
        if not root.is_dir():
            raise UserError(f"dataset.folder {folder} is not a folder.")
        layout = _recognised(root, folder)
        dropped = Faults()
        listing = read_split(layout, folder, split, eval_fraction, dropped)
        images = divided(listing.images, root, folder, split, eval_fraction)
        place = f"{root}, split {split},"
        images, counts = _readable(images, dropped)
        if not images:
            raise UserError(
                f"{place} has no photographs with masks{because(dropped)}: give the "
                "folder in which both are."
            )
        check_labelled(f"{root}, split {split}", counts)
        self.names: Sequence[str] = _names(listing, images, counts)
        self.sizes = counts.sizes
        self._images = images
        if to_train:
            _check_classes(place, self.names, counts, dropped)
        line = summary(f"{place} in {layout.format}", self.names, counts, str(dropped))
        console.print(line, markup=False)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Record:
        image = self._images[index]
        origin = photographs.shown(image.path)
        content = photographs.read(image.path)
        mask = mask_on_upright_image(image.mask.read(), io.BytesIO(content), origin)
        return Record(content, mask, origin)


def _recognised(root: pathlib.Path, folder: str) -> Layout[MaskListing]:
    """The layout of the folder.

    Raises:
      UserError: it is none that is known.
    """
    for layout in (kind(root) for kind in _LAYOUTS):
        if layout.splits:
            return layout
    raise UserError(
        f"dataset.folder {folder} has no masks in a known form: expected are "
        "masks/SPLIT/*.png with images/SPLIT/*, SegmentationClass/*.png with JPEGImages"
        " (Pascal VOC, CVAT), or COCO's JSON with outlines, "
        "SPLIT/_annotations.coco.json or annotations/instances_SPLIT.json."
    )


def _readable(
    images: list[MaskedImage], dropped: Faults
) -> tuple[list[MaskedImage], MaskCounts]:
    """The images whose masks can be decoded, and what was counted in these.

    Raises:
      UserError: a mask is wrong.
    """

    def upright_mask(number: int) -> np.ndarray | None:
        image = images[number]
        try:
            mask = image.mask.read()
        except BrokenImage:
            return None
        origin = photographs.shown(image.path)
        return mask_on_upright_image(mask, image.path, origin)

    counts = count_masks(upright_mask, len(images))
    for number in np.flatnonzero(~counts.is_readable):
        dropped.add("masks that cannot be decoded", images[number].mask.origin)
    kept = [i for i, good in zip(images, counts.is_readable, strict=True) if good]
    return kept, counts.readable


def _names(
    listing: MaskListing, images: Sequence[MaskedImage], counts: MaskCounts
) -> tuple[str, ...]:
    """The names of the classes.

    Raises:
      UserError: a mask has a number that is none of a class.
    """
    found = np.flatnonzero(counts.of_values[:UNLABELLED])
    if listing.names is None:
        return tuple(str(number) for number in range(found[-1] + 1))
    wrong = found[found >= len(listing.names)]
    if len(wrong):
        value = int(wrong[0])
        image = images[int(counts.first_with(value))]
        raise UserError(
            f"The mask {image.mask.origin} has the value {value}, but "
            f"{listing.names_source} names "
            f"{counted(len(listing.names), 'class', 'classes')}, from 0 to "
            f"{len(listing.names) - 1}: correct the mask or the names. {UNLABELLED} is "
            "for pixels without label."
        )
    return tuple(listing.names)


def _check_classes(
    place: str, names: Sequence[str], counts: MaskCounts, dropped: Faults
) -> None:
    """Raises UserError if all labelled pixels are of one class."""
    found = np.flatnonzero(counts.of_values[:UNLABELLED])
    if len(found) > 1:
        return
    hint = ""
    if counts.of_values[UNLABELLED]:
        hint = (
            f" A pixel of {UNLABELLED} has no label: if it is your second class, write "
            "1 for it."
        )
    raise UserError(
        f"{place} has no labelled pixel but those of the class {names[found[0]]}"
        f"{because(dropped)}: give masks of two classes or more.{hint}"
    )
