"""Data sets of TensorFlow Datasets with boxes, such as its coco and voc."""

import functools
import io
from typing import Any

import numpy as np
from PIL import Image

from mobilenets.data.boxes import Boxes, boxes_of
from mobilenets.data.sources.base import Record
from mobilenets.data.sources.tfds import records
from mobilenets.errors import UserError

# An object with one of these is a crowd, see `Boxes` and `PascalVocLayout`.
_CROWD_KEYS = ("is_crowd", "is_difficult")


class TfdsBoxedSource:
    """A split of a data set with boxes, prepared by TensorFlow Datasets as ArrayRecord.

    TFDS keeps COCO's areas as whole numbers, its classes as 0 to 79 and no category
    ids: numbers to compare with published ones come from COCO's own JSON.

    Args:
      builder: of the prepared data set.
      split: of it, or a slice.

    Raises:
      UserError: it has no boxes, or no such split.
    """

    upright = False

    def __init__(self, builder: Any, split: str):
        self._name = f"{builder.name}, split {split}"
        features = dict(builder.info.features.items())
        of_objects = getattr(features.get("objects"), "feature", {})
        if "image" not in features or not {"bbox", "label"} <= set(of_objects):
            raise UserError(
                f"The data set {builder.name} has no boxes: detection needs the "
                "features image and objects with bbox and label, but it has "
                f"{', '.join(sorted(features))}."
            )
        self.names = tuple(of_objects["label"].names)
        self.category_ids = {name: i for i, name in enumerate(self.names, start=1)}
        self._records = records(builder, split)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        record = self._records[index]
        image = record["image"]
        boxes = _boxes(record["objects"], image)
        return Record(image, boxes, f"record {index} of {self._name}")

    @functools.cached_property
    def box_counts(self) -> np.ndarray:
        """How many boxes each image has; reads every record, once."""
        return np.array([len(self[index].target) for index in range(len(self))])

    @functools.cached_property
    def image_ids(self) -> list[int | str]:
        """COCO's ids; else counted from 1. Reads every record, once."""
        return [
            int(self._records[index].get("image/id", index + 1))
            for index in range(len(self))
        ]


def _boxes(objects: dict[str, Any], image: bytes) -> Boxes:
    """The boxes of a record, of which TFDS has fractions of the image."""
    with Image.open(io.BytesIO(image)) as opened:
        width, height = opened.size
    corners = np.asarray(objects["bbox"], np.float32).reshape(-1, 4)
    corners = corners * np.array([height, width, height, width], np.float32)
    crowd = next((objects[key] for key in _CROWD_KEYS if key in objects), None)
    boxes = boxes_of(corners, objects["label"], crowd, objects.get("area"))
    return boxes[np.all(corners[:, :2] < corners[:, 2:], axis=1)]
