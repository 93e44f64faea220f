"""A map of the world: land, cells and places, in degrees on both axes.

The outlines of the land are Natural Earth's at 1:110 million, in the public domain, as
the file land-110m.json of the npm package world-atlas 2.0.2 has them. Of the packages
of PyPI with outlines, those that are maintained bring tens of megabytes or download.
"""

import functools
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from mobilenets.geography.cells import outline

_FILE = pathlib.Path(__file__).parent / "land/land-110m.json"
_AT_POLE = 89.9999  # degrees; a cell's corner at a pole is a centimetre from it
_SEA, _LAND, _COAST = "#eef4f8", "#d9d5c8", "#a8a294"


def draw_world(axis: Axes) -> None:
    """Draws sea and land, and sets the limits to the whole world."""
    axis.set_facecolor(_SEA)
    for rings in land():
        _fill(axis, rings, facecolor=_LAND, edgecolor=_COAST, linewidth=0.4)
    axis.set(xlim=(-180, 180), ylim=(-90, 90), aspect="equal", xticks=[], yticks=[])


def draw_cell(axis: Axes, token: str, opacity: float, color: str) -> None:
    """Fills a cell with a colour."""
    _fill(axis, [outline(token)], facecolor=color, edgecolor="none", alpha=opacity)


def _fill(axis: Axes, rings: Sequence[np.ndarray], **style: Any) -> None:
    """Fills the area within a ring of places and outside of the further ones."""
    drawn = [on_map(ring) for ring in rings]
    codes: list[Any] = []
    for ring in drawn:
        codes += [Path.MOVETO, *[Path.LINETO] * (len(ring) - 2), Path.CLOSEPOLY]
    points = np.concatenate(drawn)
    for turn in (-360, 0, 360):  # a part may be beyond the date line, on either side
        axis.add_patch(PathPatch(Path(points + np.array([turn, 0]), codes), **style))


def on_map(ring: np.ndarray) -> np.ndarray:
    """A closed ring of places as one of longitude and latitude, without leaps.

    Longitudes exceed 180 where it crosses the date line. A pole, which is a point
    on the earth, is an edge of the map: the ring goes along it if it touches the pole
    or is around it.

    Args:
      ring: [N, 2] places, of which the first follows the last one.

    Returns:
      [M, 2], of which the last is the first one.
    """
    points: list[tuple[float, float]] = []
    for (_, before), (latitude, longitude), (_, after) in zip(
        np.roll(ring, 1, axis=0), ring, np.roll(ring, -1, axis=0), strict=True
    ):
        is_pole = abs(latitude) > _AT_POLE
        points += [
            (lon, latitude) for lon in ((before, after) if is_pole else [longitude])
        ]
    longitudes, latitudes = np.array([*points, points[0]]).T
    longitudes = np.unwrap(longitudes, period=360)
    closed = np.stack([longitudes, latitudes], axis=-1)
    if abs(longitudes[-1] - longitudes[0]) < 180:
        return closed
    pole = np.copysign(90, latitudes.mean())
    edge = [(longitudes[-1], pole), (longitudes[0], pole), closed[0]]
    return np.concatenate([closed, edge])


@functools.cache
def land() -> Sequence[Sequence[np.ndarray]]:
    """The polygons of the land; each is a border, then the borders of its lakes.

    Returns:
      Rings of [N, 2] places; the first follows the last one.
    """
    topology = json.loads(_FILE.read_text())
    scale, origin = (topology["transform"][key] for key in ("scale", "translate"))
    # TopoJSON: each point of an arc is the difference to the one before, in steps.
    arcs = [np.cumsum(arc, axis=0) * scale + origin for arc in topology["arcs"]]
    return [
        [_ring(arcs, numbers) for numbers in polygon]
        for geometry in topology["objects"]["land"]["geometries"]
        for polygon in geometry["arcs"]
    ]


def _ring(arcs: Sequence[np.ndarray], numbers: Sequence[int]) -> np.ndarray:
    """Arcs one after the other; the number ~i is the arc i backwards."""
    parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in numbers]
    # The last point of an arc is the first one of the next; the file has longitudes
    # before latitudes.
    return np.concatenate([part[:-1] for part in parts])[:, ::-1]
