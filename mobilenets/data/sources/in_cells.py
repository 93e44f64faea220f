"""Photographs with the cell of the earth in which each was taken."""

from typing import NamedTuple

import numpy as np

from mobilenets.data.sources.base import PlacedSource, Record, Source
from mobilenets.errors import UserError
from mobilenets.geography.cells import Cells
from mobilenets.geography.sphere import Place


class Located(NamedTuple):
    """The target of a photograph to evaluate."""

    cell: int  # its number, or `NO_CELL`
    place: Place


class PhotosToTrain:
    """All photographs, with the number of their cell, `NO_CELL` if there is none.

    Args:
      source: of the photographs.
      cells: the classes.
      numbers: of the cell of each photograph.
    """

    def __init__(self, source: PlacedSource, cells: Cells, numbers: np.ndarray):
        self.names, self.upright = cells.tokens, source.upright
        self._source, self._numbers = source, numbers

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        record = self._source[index]
        return Record(record.image, int(self._numbers[index]), record.origin)


class PhotosToEvaluate:
    """All photographs, with their place and the number of their cell.

    Args:
      source: of the photographs.
      cells: those of the training.
    """

    def __init__(self, source: PlacedSource, cells: Cells):
        self.names, self.upright = cells.tokens, source.upright
        self._source, self._cells = source, cells.numbers_of(source.places)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        record = self._source[index]
        target = Located(int(self._cells[index]), record.target)
        return Record(record.image, target, record.origin)


def check_places(name: str, source: Source, may_lack: bool) -> None:
    """Raises UserError unless a source from Python has the places of its photographs.

    Args:
      name: of the source.
      source: whose records have places.
      may_lack: whether a photograph may have none, which is nan.
    """
    places, images = np.asarray(getattr(source, "places", ())), len(source)
    if places.shape != (images, 2):
        raise UserError(
            f"The source {name!r} needs an array called places, [{images}, 2], with the"
            " latitude and longitude of each photograph, but what it has is of the "
            f"shape {list(places.shape)}."
        )
    is_unknown = np.isnan(places).all(axis=1, keepdims=True) & may_lack
    if not (is_unknown | (np.abs(places) <= (90, 180))).all():  # nan is not, either
        raise UserError(
            f"The places of the source {name!r} must be latitudes from -90 to 90 and "
            "longitudes from -180 to 180."
        )
