"""How the entries of a sweep are told apart in a picture: colour, marker and name."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.colors import LinearSegmentedColormap

from mobilenets.sweeps.definition import text
from mobilenets.sweeps.report.entries import Entry, aspects

BLUE = "#1f5fa8"
# For values without an order, and for those with one: viridis without its end, which is
# too pale for a line on white.
PALETTE = (BLUE, "#c62828", "#2e7d32", "#e08214", "#6a3d9a", "#0097a7", "#ad1457")
SEQUENCE = LinearSegmentedColormap.from_list(
    "sequence", matplotlib.colormaps["viridis"](range(0, 225))
)
MARKERS = "osD^vPX"
SAMPLES = 5  # in a legend of more values than there are colours without an order
LONGEST_NAME = 16  # letters; where one has more, entries are named by their numbers


@dataclasses.dataclass(frozen=True)
class Look:
    """Of one entry.

    Args:
      colour: of its points and lines.
      marker: as matplotlib names it.
      name: to write beside it, short.
      full_name: the same with its network, where there are several.
    """

    colour: Any
    marker: str
    name: str
    full_name: str


@dataclasses.dataclass(frozen=True)
class Looks:
    """Of the entries of a sweep.

    Args:
      of_entry: by the number of its first point.
      coloured: what the colours tell, "" if nothing; and
      colours: value and colour for a legend.
      marked: what the markers tell, "" if nothing; and
      markers: value and marker for a legend.
      named: what the names tell.
    """

    of_entry: Mapping[int, Look]
    coloured: str
    colours: Mapping[str, Any]
    marked: str
    markers: Mapping[str, str]
    named: str

    def __getitem__(self, entry: Entry) -> Look:
        return self.of_entry[entry.number]


def looks(entries: Sequence[Entry]) -> Looks:
    """Gives colours to the first thing that varies, and markers to the next.

    Args:
      entries: all that are drawn, so that they look alike in all its pictures.
    """
    varying = aspects(entries)
    coloured = next((a for a, v in varying.items() if _colours(v)), "")
    colours = _colours(varying.get(coloured, []))
    others = {a: v for a, v in varying.items() if a != coloured}
    marked = next((a for a, v in others.items() if _markers(v)), "")
    markers = _markers(varying.get(marked, []))
    # What the colour already tells in one word need not stand beside every point.
    naming = {a: v for a, v in varying.items() if a != "network"} or varying
    names = [_name(naming, i) for i in range(len(entries))]
    full_names = [_name(varying, i) for i in range(len(entries))]
    named = ", ".join(naming)
    if not naming or max(map(len, names)) > LONGEST_NAME:
        names = full_names = [f"#{entry.number}" for entry in entries]
        named = "number"
    of_entry = {}
    for i, entry in enumerate(entries):
        of_entry[entry.number] = Look(
            colours[text(varying[coloured][i])] if coloured else BLUE,
            markers[text(varying[marked][i])] if marked else MARKERS[0],
            names[i],
            full_names[i],
        )
    return Looks(of_entry, coloured, _sample(colours), marked, markers, named)


def _name(values: Mapping[str, Sequence[Any]], i: int) -> str:
    """The values of an entry."""
    return ", ".join(text(of_all[i]) for of_all in values.values())


def _colours(values: Sequence[Any]) -> dict[str, Any]:
    """A colour for each value, in words; none if there are too many without order."""
    different = _different(values)
    if are_numbers(values):
        last = max(1, len(different) - 1)
        return {name: SEQUENCE(i / last) for i, name in enumerate(different)}
    if len(different) > len(PALETTE):
        return {}
    return dict(zip(different, PALETTE, strict=False))


def _markers(values: Sequence[Any]) -> dict[str, str]:
    """A marker for each value, in words; none if there are too many."""
    different = _different(values)
    if len(different) > len(MARKERS):
        return {}
    return dict(zip(different, MARKERS, strict=False))


def _different(values: Sequence[Any]) -> list[str]:
    """The values in words, each once, numbers by their size."""
    ordered = sorted(values) if are_numbers(values) else values
    return list(dict.fromkeys(map(text, ordered)))


def are_numbers(values: Sequence[Any]) -> bool:
    """Whether they have an order; True and False have none."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _sample(colours: Mapping[str, Any]) -> dict[str, Any]:
    """Some of the colours, evenly, where there are more than a legend can hold."""
    if len(colours) <= len(PALETTE):
        return dict(colours)
    names, last = list(colours), len(colours) - 1
    chosen = [names[round(i * last / (SAMPLES - 1))] for i in range(SAMPLES)]
    return {name: colours[name] for name in chosen}
