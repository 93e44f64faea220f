"""A source with the classes or attributes of another one, or without its labels."""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from mobilenets.data.masks import UNLABELLED
from mobilenets.data.sources.base import (
    BoxedSource,
    MaskedSource,
    Record,
    Source,
    some,
)
from mobilenets.errors import UserError
from mobilenets.runtime.console import console


def with_names(
    source: Source, names: Sequence[str], what: str, network: str = "the network"
) -> Source:
    """The source with its targets numbered by these names.

    A source may lack some of the names, as a small evaluation set does, which is told.
    Attributes that it lacks are unknown.

    Args:
      source: of images with a class, attributes, boxes or masks.
      names: of the classes or attributes that a network distinguishes.
      what: the source, for the message.
      network: which it is, for the message.

    Raises:
      UserError: the source has a name that is not among them.
    """
    others = [name for name in source.names if name not in names]
    if others:
        shown = ", ".join(others[:5]) + (" and others" if len(others) > 5 else "")
        raise UserError(
            f"{what} has {shown}, which {network} was not trained on: its classes "
            f"are {', '.join(names[:20])}{', …' if len(names) > 20 else ''}."
        )
    if tuple(source.names) == tuple(names):
        return source
    lacking = [name for name in names if name not in source.names]
    if lacking:
        console.print(
            f"{what} has no images of {some(lacking)} to evaluate.", markup=False
        )
    if hasattr(source, "category_ids"):
        return _RenamedBoxes(cast(BoxedSource, source), names)
    if hasattr(source, "sizes"):
        return _RenamedMasks(cast(MaskedSource, source), names)
    return _Renamed(source, names)


def without_labels(source: Source, names: Sequence[str], target: Any) -> Source:
    """The images of a source, of which nothing is known.

    Args:
      source: of images.
      names: of the classes or attributes that a network distinguishes.
      target: of each record.
    """
    return _Unlabelled(source, names, target)


class _Unlabelled:
    """See `without_labels`."""

    def __init__(self, source: Source, names: Sequence[str], target: Any):
        self.names, self.upright = tuple(names), source.upright
        self._source, self._target = source, target

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        return dataclasses.replace(self._source[index], target=self._target)


class _Renamed:
    """See `with_names`."""

    def __init__(self, source: Source, names: Sequence[str]):
        self.names, self.upright = tuple(names), source.upright
        self.candidates = getattr(source, "candidates", None)
        self.has_several = getattr(source, "has_several", False)
        self._source = source
        self._numbers = np.array([names.index(name) for name in source.names])

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        record = self._source[index]
        if self.has_several:
            target = tuple(int(self._numbers[number]) for number in record.target)
        elif np.ndim(record.target) == 0:
            known = record.target >= 0
            target = int(self._numbers[record.target]) if known else record.target
        else:
            target = np.full(len(self.names), np.nan, np.float32)
            target[self._numbers] = record.target
        return Record(record.image, target, record.origin)


class _RenamedBoxes(_Renamed):
    """See `with_names`."""

    def __init__(self, source: BoxedSource, names: Sequence[str]):
        super().__init__(source, names)
        self.category_ids = source.category_ids
        self._boxed = source

    @property
    def box_counts(self) -> np.ndarray:
        return self._boxed.box_counts

    @property
    def image_ids(self) -> Sequence[int | str]:
        return self._boxed.image_ids

    def __getitem__(self, index: int) -> Record:
        record = self._source[index]
        classes = self._numbers[record.target.classes].astype(np.int32)
        target = dataclasses.replace(record.target, classes=classes)
        return dataclasses.replace(record, target=target)


class _RenamedMasks(_Renamed):
    """See `with_names`."""

    def __init__(self, source: MaskedSource, names: Sequence[str]):
        super().__init__(source, names)
        self.sizes = source.sizes
        self._of_values = np.full(256, UNLABELLED, np.uint8)
        self._of_values[: len(self._numbers)] = self._numbers

    def __getitem__(self, index: int) -> Record:
        record = self._source[index]
        return dataclasses.replace(record, target=self._of_values[record.target])
