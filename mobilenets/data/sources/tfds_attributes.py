"""Data sets of TensorFlow Datasets whose images have attributes, such as celeb_a."""

from typing import Any

import numpy as np

from mobilenets.data.sources.base import Record
from mobilenets.data.sources.tfds import records
from mobilenets.errors import UserError

_ATTRIBUTES = "attributes"  # the feature that holds a boolean for each


class TfdsAttributesSource:
    """A split of a prepared data set with the feature "attributes", booleans by name.

    Args:
      builder: of the data set.
      split: of it, or a slice.

    Raises:
      UserError: the data set has other features, or no such split.
    """

    upright = False

    def __init__(self, builder: Any, split: str):
        features = dict(builder.info.features.items())
        self.names = _boolean_names(features.get(_ATTRIBUTES))
        if "image" not in features or not self.names:
            raise UserError(
                f"The data set {builder.name} has no attributes: it needs the features "
                "image and attributes, booleans by name, but has "
                f"{', '.join(sorted(features))}."
            )
        self._name = f"{builder.name}, split {split}"
        self._records = records(builder, split)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        record = self._records[index]
        values = [record[_ATTRIBUTES][name] for name in self.names]
        origin = f"record {index} of {self._name}"
        return Record(record["image"], np.array(values, np.float32), origin)


def _boolean_names(feature: Any) -> tuple[str, ...]:
    """The names in a feature that consists of booleans alone, else none."""
    if not hasattr(feature, "items"):
        return ()
    found = dict(feature.items())
    of_booleans = all(
        getattr(f, "np_dtype", None) == np.bool_ and f.shape == ()
        for f in found.values()
    )
    return tuple(found) if of_booleans else ()
