"""Photographs that a table lists with the place where each was taken."""

import math
from collections.abc import Sequence

import numpy as np

from mobilenets.data.sources import photographs
from mobilenets.data.sources.base import Labelled, Record
from mobilenets.data.sources.table import (
    Row,
    files_of,
    need_column,
    rows_in_use,
    text_of,
)
from mobilenets.errors import UserError
from mobilenets.geography.sphere import UNKNOWN_PLACE, Place

LATITUDE, LONGITUDE = "latitude", "longitude"
_LIMITS = {LATITUDE: 90, LONGITUDE: 180}  # degrees


class PlacedTableSource:
    """The photographs of one split of a table, in its order.

    The columns: "path"; "latitude", -90 to 90, and "longitude", -180 to 180, in
    degrees; perhaps "split". Others are not read. A row of the split must have both.
    The images are turned as their EXIF orientation says.

    Args:
      table: a .csv or .parquet file.
      split: see `TableSource`.
      images: the folder that paths are relative to; "": the table's own.
      eval_fraction: see `TableSource`.
      labelled: unless it is "all", a row may have neither: its place is nan.

    Raises:
      UserError: the table is not as it should be; the message names the line.
    """

    names: Sequence[str] = ()
    upright = True

    def __init__(
        self,
        table: str,
        split: str,
        images: str = "",
        eval_fraction: float = 0.0,
        labelled: Labelled = "all",
    ):
        columns, rows, in_split = rows_in_use(table, split, eval_fraction, ())
        rows = [rows[i] for i in in_split]
        for name in _LIMITS:
            hint = f" Name the column of {name}s in degrees '{name}'."
            need_column(table, columns, name, hint)
        may_lack = labelled != "all"
        degrees = [
            UNKNOWN_PLACE
            if may_lack and not any(row.cells[name] for name in _LIMITS)
            else Place(*(_degrees(table, row, name) for name in _LIMITS))
            for row in rows
        ]
        self.places = np.array(degrees, np.float64)
        _check_range(table, rows, self.places)
        self._files = files_of(table, images, rows)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Record:
        path, place = self._files[index], Place(*self.places[index].tolist())
        return Record(photographs.read(path), place, photographs.shown(path))


def _degrees(table: str, row: Row, name: str) -> float:
    """The latitude or longitude of a row, which may be out of range."""
    if row.cells[name] == "":
        raise UserError(
            f"{table} line {row.line}: {name} is empty: fill it in, or remove the row."
        )
    text = text_of(table, row, name)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{table} line {row.line}: {name} is {text!r}, but must be a number of "
            "degrees, such as -33.86."
        )
    return value


def _check_range(table: str, rows: Sequence[Row], places: np.ndarray) -> None:
    """Raises UserError for the first row that is no place on the earth."""
    wrong = np.abs(places) > [*_LIMITS.values()]
    if not wrong.any():
        return
    line, column = (int(i) for i in np.argwhere(wrong)[0])
    name, limit = [*_LIMITS.items()][column]
    message = (
        f"{table} line {rows[line].line}: {name} is {places[line, column]:g}, but must "
        f"be from {-limit} to {limit}."
    )
    if column == 0 and not (np.abs(places) > (180, 90)).any():  # nan is unknown
        message += (
            " All values of longitude are possible latitudes: exchange the names of the"
            " two columns if they are swapped."
        )
    elif column == 1 and 180 < places[line, column] <= 360:
        message += " Subtract 360 from longitudes above 180."
    raise UserError(message)
