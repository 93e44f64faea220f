"""Data sets of TensorFlow Datasets with masks: its cityscapes and oxford_iiit_pet."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from mobilenets.data.masks import UNLABELLED, decode_mask
from mobilenets.data.sources.base import Record
from mobilenets.data.sources.mask_counts import check_labelled, count_masks, summary
from mobilenets.data.sources.tfds import records
from mobilenets.errors import BrokenImage, UserError
from mobilenets.runtime.console import console


@dataclasses.dataclass(frozen=True)
class _Kind:
    """Where a data set has its masks, and what their numbers mean."""

    image: str  # the feature
    mask: str  # the feature
    # The classes by the numbers in the files; what is not here is unlabelled.
    classes: dict[int, str]


# The 19 classes that are evaluated, by Cityscapes' ids of labels: Cordts et al. 2016,
# arXiv:1604.01685, and its `labels.py`. The ids between them are ignored there, too.
_CITYSCAPES = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
_PETS = {1: "pet", 2: "background", 3: "border"}

_KINDS = {
    "cityscapes": _Kind("image_left", "segmentation_label", _CITYSCAPES),
    "oxford_iiit_pet": _Kind("image", "segmentation_mask", _PETS),
}


class TfdsMaskedSource:
    """A split of one of these data sets, prepared as ArrayRecord.

    All masks are read once when it is opened, see `MaskedFolderSource`.

    Args:
      builder: of the prepared data set.
      split: of it, or a slice.

    Raises:
      UserError: its masks are not known here, there is no such split, or none of its
        pixels has a label.
    """

    upright = False

    def __init__(self, builder: Any, split: str):
        self._name = f"{builder.name}, split {split}"
        features = dict(builder.info.features.items())
        kind = _KINDS.get(builder.name)
        if kind is None or not {kind.image, kind.mask} <= features.keys():
            raise UserError(
                f"The masks of the data set {builder.name}, which has "
                f"{', '.join(sorted(features))}, are not known: known are those of "
                f"{' and '.join(_KINDS)}. Write others as files and give "
                "dataset.folder."
            )
        self._kind = kind
        self.names: Sequence[str] = tuple(kind.classes.values())
        self._numbers = np.full(256, UNLABELLED, np.uint8)
        self._numbers[list(kind.classes)] = np.arange(len(kind.classes))
        self._records = records(builder, split, (kind.image, kind.mask))
        counts = count_masks(self._mask, len(self))
        check_labelled(self._name, counts)  # those of Cityscapes' test images are not
        self.sizes = counts.sizes
        console.print(summary(self._name, self.names, counts), markup=False)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        image = self._records[index][self._kind.image]
        origin = f"record {index} of {self._name}"
        return Record(image, self._mask(index), origin)

    def _mask(self, index: int) -> np.ndarray:
        content = self._records[index][self._kind.mask]
        origin = f"of record {index} of {self._name}"
        try:
            return self._numbers[decode_mask(content, origin)]
        except BrokenImage as error:
            raise UserError(f"{error} Prepare the data set again.") from None
