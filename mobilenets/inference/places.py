"""Where photographs were taken, as a network of cells says, on a map."""

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state

from mobilenets.data.sources import photographs
from mobilenets.errors import UserError
from mobilenets.geography import sphere
from mobilenets.geography.world_map import draw_cell, draw_world
from mobilenets.inference.prediction import (
    MOST_DRAWN,
    OfPhoto,
    Photo,
    apply,
    labels_of,
    write,
)
from mobilenets.inference.trained import Net
from mobilenets.runtime.drawing import as_drawn, as_text

DEFAULT_TOP = 5  # cells that are reported of a photograph
_COLOR = "#c62828"
_OPACITY = (0.08, 0.75)  # of a cell of probability 0, which is seen, and 1


@dataclasses.dataclass(frozen=True)
class LikelyCell:
    """A cell in which a photograph may have been taken, and the place it stands for."""

    cell: str  # the token of S2
    latitude: float
    longitude: float
    probability: float


@dataclasses.dataclass(frozen=True)
class LocatedPhoto(OfPhoto):
    """A photograph and its cells, the most likely first; that one is the prediction."""

    cells: tuple[LikelyCell, ...]


def is_geolocalizer(net: Net) -> bool:
    """Whether a network predicts places."""
    return net.description.places is not None


def locate(
    net: Net, photos: Iterable[Photo], top: int = DEFAULT_TOP
) -> Iterator[LocatedPhoto]:
    """Yields the most likely cells of each photograph.

    Args:
      net: a network of cells, see `is_geolocalizer`.
      photos: from `read_photos` for the same network.
      top: the number of cells.
    """
    tokens, places = net.description.class_names, net.description.places or ()

    def likeliest(outputs: Any) -> Any:
        logits, _ = outputs
        return jax.lax.top_k(jax.nn.softmax(logits), min(top, len(tokens)))

    for photo, (probabilities, numbers) in apply(net, photos, likeliest):
        cells = tuple(
            LikelyCell(tokens[int(i)], *places[int(i)], float(p))
            for p, i in zip(probabilities, numbers, strict=True)
        )
        yield LocatedPhoto(photo, cells)


def write_json(located: Sequence[LocatedPhoto], path: pathlib.Path) -> None:
    """Writes a list with an object for each photograph.

    With "path", "latitude" and "longitude" of the most likely cell, and "cells", each
    with "cell", "latitude", "longitude" and "probability".

    Raises:
      UserError: the file cannot be written.
    """
    objects = [
        {
            "path": photographs.shown(one.photo.path),
            "latitude": one.cells[0].latitude,
            "longitude": one.cells[0].longitude,
            "cells": [dataclasses.asdict(cell) for cell in one.cells],
        }
        for one in located
    ]
    write(path, json.dumps(objects, indent=2) + "\n")


def write_csv(located: Sequence[LocatedPhoto], path: pathlib.Path) -> None:
    """Writes a table with a row for each photograph: path, latitude and longitude.

    It is one to train on, with the cell and its probability beside.

    Raises:
      UserError: the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", "latitude", "longitude", "cell", "probability"])
    for one in located:
        best = one.cells[0]
        place = (best.latitude, best.longitude)
        shown = photographs.shown(one.photo.path)
        table.writerow([shown, *place, best.cell, best.probability])
    write(path, text.getvalue())


@as_text
def draw(located: Sequence[LocatedPhoto], path: pathlib.Path) -> None:
    """Draws the first `MOST_DRAWN` photographs, each with its cells on a map.

    A cell is the darker the more likely it is; a cross marks the predicted place.

    Args:
      located: at least one.
      path: the PNG file to write.

    Raises:
      UserError: the file cannot be written.
    """
    located = located[:MOST_DRAWN]
    names = labels_of([one.photo.path for one in located])
    figure = Figure(figsize=(10, 3.4 * len(located)), layout="constrained")
    grid = figure.add_gridspec(len(located), 2, width_ratios=[1, 2.2])
    for row, (one, name) in enumerate(zip(located, names, strict=True)):
        picture = figure.add_subplot(grid[row, 0])
        picture.imshow(as_drawn(one.photo.pixels))
        picture.set_axis_off()
        picture.set_title(name, fontsize=9)
        _draw_cells(figure.add_subplot(grid[row, 1]), one.cells)
    try:
        figure.savefig(path, dpi=110, format="png")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def _draw_cells(axis: Axes, cells: Sequence[LikelyCell]) -> None:
    draw_world(axis)
    for cell in cells:
        opacity = float(np.interp(cell.probability, (0, 1), _OPACITY))
        draw_cell(axis, cell.cell, opacity, _COLOR)
    best = cells[0]
    axis.plot(best.longitude, best.latitude, "x", color="black", markersize=8)
    place = sphere.in_words(best.latitude, best.longitude)
    axis.set_title(f"{place}, cell {best.cell}: {best.probability:.1%}", fontsize=9)
