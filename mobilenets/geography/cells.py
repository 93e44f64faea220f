"""Adaptive cells of the sphere: the classes of PlaNet, arXiv:1602.05314, Sec. 3.

They are cells of Google's S2: the six faces of a cube around the earth, each divided
into four again and again, 30 times at most. A cell is a number of 64 bits whose order
follows a space-filling curve, so a cell is a range of the smallest ones, its leaves. In
texts it is a token: its number in hexadecimal digits without the zeros at the end.

The package s2cell finds the leaf of a place, and the place of a leaf. It is pure Python
without dependencies, so it is there on every platform, and is tested against Google's
code. Google's own s2geometry has no wheels for Windows and for Linux on ARM; tests
compare with it. s2sphere was last released in 2017.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np
import s2cell

from mobilenets.geography.sphere import places_of, unit_vectors

NO_CELL = -1  # the number of a place that is in none of the cells
_FACES = tuple((face << 61) | (1 << 60) for face in range(6))
_DECIMALS = 6  # of degrees: a tenth of a metre


@dataclasses.dataclass(frozen=True)
class Cells:
    """The classes of a geolocalization: cells that do not overlap.

    Args:
      tokens: of the cells, in the order of their numbers in S2.
      places: latitude and longitude that stand for each: the mean of its photographs.
        The centre of a cell may be at sea where all its photographs are of a coast.
    """

    tokens: tuple[str, ...]
    places: tuple[tuple[float, float], ...]

    def numbers_of(self, places: np.ndarray) -> np.ndarray:
        """The number of the cell in which each place is, [N] integers; or `NO_CELL`.

        Args:
          places: [N, 2], nan where unknown, which is in no cell.
        """
        known = ~np.isnan(places).any(axis=1)
        leaves, (first, last) = leaves_of(places[known]), self._ranges
        number = np.searchsorted(first, leaves, side="right") - 1
        is_inside = (number >= 0) & (leaves <= last[number])
        numbers = np.full(len(places), NO_CELL)
        numbers[known] = np.where(is_inside, number, NO_CELL)
        return numbers

    @functools.cached_property
    def _ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """The first and the last leaf of each cell."""
        ranges = [_leaf_range(s2cell.token_to_cell_id(token)) for token in self.tokens]
        first, last = np.array(ranges, np.uint64).T
        return first, last


@dataclasses.dataclass(frozen=True)
class Partition:
    """The cells of photographs.

    Args:
      cells: those that are kept.
      numbers: [N], of each photograph the number of its cell, `NO_CELL` if it was
        dropped.
      dropped_cells: how many had photographs, but too few.
    """

    cells: Cells
    numbers: np.ndarray
    dropped_cells: int

    @property
    def dropped_images(self) -> int:
        """How many photographs are in no cell."""
        return int((self.numbers == NO_CELL).sum())


def partition(places: np.ndarray, most: int, fewest: int) -> Partition:
    """Divides the faces of the cube while a cell has too many photographs.

    Args:
      places: [N, 2] of the photographs.
      most: photographs of a cell; one with more is divided. A leaf, of a centimetre,
        cannot be, so it may have any number.
      fewest: a cell with fewer is dropped.
    """
    leaves = leaves_of(places)
    order = np.argsort(leaves, kind="stable")
    vectors = unit_vectors(places)[order]
    numbers = np.full(len(places), NO_CELL)
    tokens: list[str] = []
    means: list[tuple[float, float]] = []
    dropped = 0
    for cell, of_cell in _divided(leaves[order], most):
        if of_cell.stop - of_cell.start < fewest:
            dropped += 1
            continue
        numbers[order[of_cell]] = len(tokens)
        tokens.append(s2cell.cell_id_to_token(cell))
        # All are on one face, which is less than half of the sphere: no mean is 0.
        mean = places_of(vectors[of_cell].mean(axis=0)).round(_DECIMALS)
        means.append((float(mean[0]), float(mean[1])))
    return Partition(Cells(tuple(tokens), tuple(means)), numbers, dropped)


def leaves_of(places: np.ndarray) -> np.ndarray:
    """The numbers of the leaves in which places are, [N] uint64.

    Args:
      places: [N, 2].
    """
    places = np.array(places, float)
    # One place has one leaf: on the date line, which is between leaves, that of 180. At
    # a pole S2 has the same leaf for all longitudes.
    places[places[:, 1] == -180, 1] = 180
    leaves = [s2cell.lat_lon_to_cell_id(*place) for place in places.tolist()]
    return np.array(leaves, np.uint64)


def outline(token: str, points: int = 16) -> np.ndarray:
    """The border of a cell, [4 * points, 2] places, closed by its first one.

    Its edges are arcs of great circles. The corners are exact to a centimetre: they are
    the leaves at them.

    Args:
      token: of the cell.
      points: on each edge.
    """
    first, last = _leaf_range(s2cell.token_to_cell_id(token))
    # On the curve through a cell, its corners come after none, one, two and three
    # thirds of the leaves: in the first quarter of the first quarter and so on.
    leaves = [first + 2 * (third * ((last - first) // 2) // 3) for third in range(4)]
    corners = unit_vectors(np.array([s2cell.cell_id_to_lat_lon(x) for x in leaves]))
    weights = np.linspace(0, 1, points, endpoint=False)[:, None]
    edges = [
        (1 - weights) * corner + weights * following
        for corner, following in zip(corners, np.roll(corners, -1, 0), strict=True)
    ]
    return places_of(np.concatenate(edges))


def wrong_token(tokens: Sequence[str]) -> str | None:
    """The first text that is no token, or not of a cell after the ones before it."""
    end = 0  # of the cells before
    for token in tokens:
        try:
            is_token = s2cell.token_to_canonical_token(token) == token
            first, last = _leaf_range(s2cell.token_to_cell_id(token))
        except (s2cell.InvalidToken, ValueError):  # too long, no hexadecimal digits
            return token
        if not is_token or not s2cell.token_is_valid(token) or first <= end:
            return token
        end = last
    return None


def _divided(leaves: np.ndarray, most: int) -> Iterator[tuple[int, slice]]:
    """The cells with photographs, in order, and which of the leaves are in each.

    Args:
      leaves: of the photographs, sorted.
      most: see `partition`.
    """
    waiting = [*reversed(_FACES)]
    while waiting:
        cell = waiting.pop()
        first, last = (np.uint64(leaf) for leaf in _leaf_range(cell))
        start = int(np.searchsorted(leaves, first, side="left"))
        stop = int(np.searchsorted(leaves, last, side="right"))
        is_leaf = cell % 2 == 1
        if stop - start > most and not is_leaf:
            waiting += reversed(_quarters(cell))
        elif stop > start:
            yield cell, slice(start, stop)


def _quarters(cell: int) -> Sequence[int]:
    """The four cells of which a cell consists, in order.

    The lowest bit that is set in a number marks the level of the cell; two more bits
    before it count the quarters.
    """
    mark = cell & -cell
    return [cell - mark + (2 * quarter + 1) * (mark >> 2) for quarter in range(4)]


def _leaf_range(cell: int) -> tuple[int, int]:
    """The first and the last leaf of a cell."""
    mark = cell & -cell
    return cell - mark + 1, cell + mark - 1
