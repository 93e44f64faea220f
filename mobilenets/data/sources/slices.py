"""Parts of splits of our own data sets, written as TFDS does: "train[:90%]"."""

from collections.abc import Mapping, Sequence

import numpy as np

from mobilenets.data.sources.base import BoxedSource, MaskedSource, Record, Source
from mobilenets.data.sources.tfds import parts_of_split


def places(
    data_set: str, sizes: Mapping[str, int], split: str
) -> list[tuple[str, int]]:
    """The split and number of each record that a slice means.

    Args:
      data_set: its name, for messages.
      sizes: records in each split.
      split: one of them, or a slice.

    Raises:
      UserError: there is no such split or slice, or it is empty.
    """
    from tensorflow_datasets import core
    from tensorflow_datasets.core import splits

    infos = splits.SplitDict(
        [
            core.SplitInfo(name=name, shard_lengths=[size], num_bytes=0)
            for name, size in sizes.items()
        ]
    )
    return [
        (part.splitname, number)
        for part in parts_of_split(data_set, split, infos)
        for number in range(sizes[part.splitname])[part.from_ : part.to]
    ]


class Part:
    """Some of the images of a source; all its classes.

    Args:
      source: of all images.
      numbers: of the images.
    """

    def __init__(self, source: Source, numbers: Sequence[int]):
        self.names, self.upright = source.names, source.upright
        self._source, self._numbers = source, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Record:
        return self._source[self._numbers[index]]


class PartOfBoxed(Part):
    """Some of the images of a source with boxes; see `Part`."""

    def __init__(self, source: BoxedSource, numbers: Sequence[int]):
        super().__init__(source, numbers)
        self.category_ids = source.category_ids
        self.box_counts = np.asarray(source.box_counts)[list(numbers)]
        self.image_ids = [source.image_ids[number] for number in numbers]


class PartOfMasked(Part):
    """Some of the images of a source with masks; see `Part`."""

    def __init__(self, source: MaskedSource, numbers: Sequence[int]):
        super().__init__(source, numbers)
        self.sizes = np.asarray(source.sizes)[list(numbers)]
