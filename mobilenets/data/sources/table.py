"""Images that a table lists, with their class or attributes: a CSV or Parquet file."""

import csv
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mobilenets.data.sources import division, photographs
from mobilenets.data.sources.base import (
    Labelled,
    Labels,
    Record,
    UnknownSplit,
    check_attributes,
    check_classes,
    check_some_labels,
    tell_attributes_not_evaluated,
    tell_lacking_classes,
)
from mobilenets.errors import UserError, closest

PATH, LABEL, LABELS, SPLIT = "path", "label", "labels", "split"

Cell = str | list[str]  # a list only where Parquet has one


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a table."""

    line: int  # of the file; in Parquet the number of the row, from 1
    cells: dict[str, Cell]  # by column; "" where there is none


class TableSource:
    """The images of one split of a table, in its order.

    The columns: "path"; "label", the class, or "labels", several names, or one column
    for each attribute with 1, 0 or nothing where it is unknown; perhaps "split". Names
    are sorted, and are those of the splits in use. Rows of others need no labels. The
    images are turned as their EXIF orientation says.

    Args:
      table: a .csv or .parquet file.
      split: a value of the column "split"; without that column "train" or "validation"
        if there is an `eval_fraction`, else "all".
      labels: which of them are read.
      images: the folder that paths are relative to; "": the table's own.
      separator: between the names in "labels".
      eval_fraction: this part of the images is "validation"; see `division.side`.
      to_train: refuse a split from which a class or an attribute cannot be learned.
      in_use: the splits whose classes count, beside those of `split`.
      labelled: unless it is "all", the column "label" may be empty, whose target is -1,
        and so may all attributes of an image.

    Raises:
      UserError: the table is not as it should be; the message names the line.
    """

    upright = True

    def __init__(
        self,
        table: str,
        split: str,
        labels: Labels,
        images: str = "",
        separator: str = ";",
        eval_fraction: float = 0.0,
        to_train: bool = False,
        in_use: Sequence[str] = (),
        labelled: Labelled = "all",
    ):
        columns, rows, in_split = rows_in_use(table, split, eval_fraction, in_use)
        if labels == "class":
            # What else is in use is checked where it is opened.
            required = {*in_split} if labelled == "all" else {}
            may_lack = [i not in required for i in range(len(rows))]
            names, targets = _classes(table, columns, rows, may_lack)
        elif LABELS in columns:
            names, targets = _named_attributes(table, rows, separator)
        else:
            names, targets = _attribute_columns(table, columns, rows)
        self.names = tuple(names)
        self._targets = targets[in_split]
        self._files = files_of(table, images, [rows[i] for i in in_split])
        place = f"{table}, split {split},"
        if labels == "class":
            if labelled == "some":
                check_some_labels(place, self._targets)
            elif labelled == "all":
                check = check_classes if to_train else tell_lacking_classes
                check(place, self.names, self._targets)
        elif labelled != "none":
            check = check_attributes if to_train else tell_attributes_not_evaluated
            check(place, self.names, self._targets)

    @property
    def listed(self) -> list[tuple[pathlib.Path, int]]:
        """The file and the class of each image, of labels "class"."""
        return list(zip(self._files, map(int, self._targets), strict=True))

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Record:
        path, target = self._files[index], self._targets[index]
        if target.ndim == 0:
            target = int(target)
        return Record(photographs.read(path), target, photographs.shown(path))


def rows_in_use(
    table: str, split: str, eval_fraction: float, in_use: Sequence[str]
) -> tuple[list[str], list[Row], list[int]]:
    """The columns of a table, its rows of the splits in use, and those of one split.

    Args:
      table: see `TableSource`, also for the others.
      split: that which is opened.
      eval_fraction: of the images that are "validation".
      in_use: the splits whose rows are read, beside those of `split`.

    Returns:
      The columns; the rows; which of the rows are of `split`.

    Raises:
      UserError: the table cannot be read, has no such split, or has a path twice.
    """
    columns, rows = _read(pathlib.Path(table).expanduser(), table)
    _check_paths(table, columns, rows)
    splits = _splits(table, columns, rows, split, eval_fraction)
    used = {*splits} if eval_fraction else {split, *in_use}
    rows = [row for row, name in zip(rows, splits, strict=True) if name in used]
    splits = [name for name in splits if name in used]
    return columns, rows, [i for i, name in enumerate(splits) if name == split]


def splits(table: str) -> list[str]:
    """The values of the column "split", or "all" without that column.

    Raises:
      UserError: it is no such table.
    """
    columns, rows = _read(pathlib.Path(table).expanduser(), table)
    if SPLIT not in columns:
        return [division.WHOLE]
    return sorted({text_of(table, row, SPLIT) for row in rows})


def _read(file: pathlib.Path, table: str) -> tuple[list[str], list[Row]]:
    """The columns and rows of a table that is not empty."""
    if not file.is_file():
        raise UserError(f"dataset.table {table} is not a file.")
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    read = readers.get(file.suffix.lower())
    if read is None:
        raise UserError(
            f"The table {table} must be a {' or '.join(readers)} file, by its name."
        )
    columns, rows = read(file, table)
    twice = {name for name in columns if columns.count(name) > 1}
    if twice:
        raise UserError(f"{table} has two columns {', '.join(sorted(twice))}.")
    if not rows:
        raise UserError(f"{table} lists no images: it has no rows below a header.")
    return columns, rows


def _read_csv(file: pathlib.Path, table: str) -> tuple[list[str], list[Row]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            # strict: a quote that is not closed is an error.
            reader = csv.reader(lines, strict=True)
            rows = _numbered(table, reader)
            _, header = next(rows, (0, []))
            columns = [name.strip() for name in header]
            return columns, [_csv_row(table, columns, cells, i) for i, cells in rows]
    except UnicodeDecodeError:
        raise UserError(f"{table} is not encoded in UTF-8: save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"{table} cannot be read: {error.strerror}.") from None


def _numbered(table: str, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line on which it begins."""
    line = reader.line_num + 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{table} line {line}: {error}.") from None


def _csv_row(table: str, columns: list[str], cells: list[str], line: int) -> Row:
    if len(cells) != len(columns):
        raise UserError(
            f"{table} line {line}: there are {len(cells)} values for the "
            f"{len(columns)} columns."
        )
    stripped = [cell.strip() for cell in cells]
    return Row(line, dict(zip(columns, stripped, strict=True)))


def _read_parquet(file: pathlib.Path, table: str) -> tuple[list[str], list[Row]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"Reading {table} needs pyarrow: pip install 'mobilenets[parquet]'."
        ) from None
    try:
        content = pyarrow.parquet.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{table} cannot be read: {reason}.") from None
    columns = [column.to_pylist() for column in content.columns]
    rows = [
        Row(
            number,
            {
                name: _cell(value)
                for name, value in zip(content.column_names, values, strict=True)
            },
        )
        for number, values in enumerate(zip(*columns, strict=True), start=1)
    ]
    return list(content.column_names), rows


def _cell(value: Any) -> Cell:
    """A value of Parquet as CSV has it."""
    if isinstance(value, list):
        return [_cell(item) for item in value]  # pyright: ignore[reportReturnType]
    if value is None or value != value:  # nan alone differs from itself
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return str(value).strip()


def _check_paths(table: str, columns: list[str], rows: Sequence[Row]) -> None:
    """Each row must have a path of its own."""
    need_column(table, columns, PATH)
    seen: dict[str, int] = {}
    for row in rows:
        path = text_of(table, row, PATH)
        first = seen.setdefault(os.path.normpath(path), row.line)
        if first != row.line:
            raise UserError(
                f"{table} line {row.line}: the path {path} is also in line {first}."
            )


def need_column(table: str, columns: list[str], name: str, hint: str = "") -> None:
    """Raises UserError unless the table has a column; the hint is a sentence more."""
    if name in columns:
        return
    close = closest(name, columns)
    meant = f" (is it {close}?)" if close else ""
    raise UserError(
        f"{table} has no column {name}{meant}: its columns are {', '.join(columns)}."
        + hint
    )


def text_of(table: str, row: Row, column: str) -> str:
    """The value of a row that must be there.

    Raises:
      UserError: it is empty, or a list.
    """
    value = row.cells[column]
    if not value:
        raise UserError(f"{table} line {row.line}: {column} is empty.")
    if isinstance(value, list):
        raise UserError(f"{table} line {row.line}: {column} is a list, not a text.")
    return value


def _splits(
    table: str, columns: list[str], rows: list[Row], split: str, eval_fraction: float
) -> list[str]:
    """The split of each row; that which is opened is one of them."""
    if SPLIT in columns:
        if eval_fraction:
            raise UserError(
                f"{table} has a column split: leave dataset.eval_fraction out, or the "
                "column."
            )
        splits = [text_of(table, row, SPLIT) for row in rows]
        if split not in splits:
            raise UnknownSplit(table, split, {*splits})
    elif eval_fraction:
        paths = [pathlib.PurePath(text_of(table, row, PATH)).as_posix() for row in rows]
        splits = [division.side(path, eval_fraction) for path in paths]
        division.check(table, split, splits)
    else:
        splits = [division.WHOLE] * len(rows)
        if split != division.WHOLE:
            raise UnknownSplit(
                table,
                split,
                [division.WHOLE],
                "It has no column split: add one, or set dataset.eval_fraction, such as"
                " 0.2.",
            )
    return splits


def _classes(
    table: str, columns: list[str], rows: list[Row], may_lack: Sequence[bool]
) -> tuple[list[str], np.ndarray]:
    """The classes, and the number of each row's, -1 for one without.

    Args:
      table: for messages.
      columns: of the table.
      rows: of the splits in use.
      may_lack: of each row, whether its label may be empty.
    """
    hint = " For several labels per image, give task.name=multilabel."
    need_column(table, columns, LABEL, hint)
    labels = [
        "" if lacks and not row.cells[LABEL] else text_of(table, row, LABEL)
        for row, lacks in zip(rows, may_lack, strict=True)
    ]
    names = sorted({*labels} - {""})
    numbers = {name: number for number, name in enumerate(names)} | {"": -1}
    return names, np.array([numbers[label] for label in labels])


def _named_attributes(
    table: str, rows: list[Row], separator: str
) -> tuple[list[str], np.ndarray]:
    """The names in the column "labels", and 1 for those of each row, else 0."""
    labels = [_split_names(row.cells[LABELS], separator) for row in rows]
    names = sorted({name for row in labels for name in row})
    if not names:
        raise UserError(f"{table} has no name in its column labels.")
    numbers = {name: number for number, name in enumerate(names)}
    targets = np.zeros((len(rows), len(names)), np.float32)
    for i, row in enumerate(labels):
        targets[i, [numbers[name] for name in row]] = 1
    return names, targets


def _split_names(cell: Cell, separator: str) -> list[str]:
    parts = cell if isinstance(cell, list) else cell.split(separator)
    return [part.strip() for part in parts if part.strip()]


def _attribute_columns(
    table: str, columns: list[str], rows: list[Row]
) -> tuple[list[str], np.ndarray]:
    """The columns that are attributes, in their order, and each row's values."""
    names = [name for name in columns if name not in (PATH, LABEL, SPLIT)]
    if not names or "" in names:
        raise UserError(
            f"{table} must have a column for each attribute, with a name, or the column"
            f" labels, but its columns are {', '.join(columns)}."
        )
    values = [[_state(table, row, name) for name in names] for row in rows]
    return names, np.array(values, np.float32)


def _state(table: str, row: Row, name: str) -> float:
    """Whether an image has an attribute: 1, 0 or nan."""
    cell = row.cells[name]
    if cell == "":
        return np.nan
    try:
        value = float(cell)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        value = np.nan
    if value in (0.0, 1.0):
        return value
    raise UserError(
        f"{table} line {row.line}: {name} is {cell!r}, but must be 1, 0 or empty "
        "(unknown)."
    )


def files_of(table: str, images: str, rows: Sequence[Row]) -> list[pathlib.Path]:
    """The file of each row.

    Args:
      table: see `TableSource`.
      images: the folder that paths are relative to; "": the table's own.
      rows: of the table.

    Raises:
      UserError: there is no such file.
    """
    own = pathlib.Path(table).expanduser().parent
    folder = pathlib.Path(images).expanduser() if images else own
    files = []
    for row in rows:
        path = folder / pathlib.Path(text_of(table, row, PATH)).expanduser()
        if not path.is_file():
            raise UserError(
                f"{table} line {row.line}: there is no file {path}. Paths are relative "
                "to the table's folder, or to dataset.images."
            )
        files.append(path)
    return files
