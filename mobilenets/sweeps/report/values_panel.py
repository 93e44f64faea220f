"""The entries of a sweep: accuracy against one of the values that it varies."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mobilenets.sweeps.definition import text
from mobilenets.sweeps.report import panels, sweep_panel
from mobilenets.sweeps.report.entries import Entry, measure
from mobilenets.sweeps.report.looks import Looks, are_numbers
from mobilenets.sweeps.report.panels import GREY

LOGARITHMIC_FROM = 8  # times the smallest value, as rates and decays are


def draw(
    axis: Axes,
    name: str,
    varied: Mapping[str, Sequence[Any]],
    entries: Sequence[Entry],
    look: Looks,
) -> None:
    """Draws the entries; a line joins the finished that differ in this value alone.

    Args:
      axis: an empty panel.
      name: of the value; its key in `varied`.
      varied: see `entries.aspects`.
      entries: that have an accuracy.
      look: of the sweep.
    """
    xs = _scale(axis, varied[name])
    marks = sweep_panel.marks_at(xs, entries)
    others = [values for other, values in varied.items() if other != name]
    lines: dict[str, list[tuple[float, float]]] = {}
    for i, entry in enumerate(entries):
        sweep_panel.draw_entry(axis, marks[entry.number], entry, look[entry])
        if entry.state == "finished":
            alike = repr([values[i] for values in others])
            lines.setdefault(alike, []).append(marks[entry.number].place)
    for line in lines.values():
        axis.plot(*zip(*sorted(line), strict=True), color=GREY, alpha=0.5, zorder=1)
    panels.finish(axis, f"Accuracy against {name}", f"{measure(entries)}, %")
    axis.set_xlabel(name)
    axis.label_outer(remove_inner_ticks=True)


def legend(figure: Figure, entries: Sequence[Entry], look: Looks) -> None:
    """What colours and markers tell, below the panels."""
    marks = sweep_panel.marks_at([0.0] * len(entries), entries)
    panels.legend(figure, sweep_panel.meanings(entries, marks, look))


def _scale(axis: Axes, values: Sequence[Any]) -> list[float]:
    """Where values lie: numbers by their size, others side by side."""
    if not are_numbers(values):
        names = list(dict.fromkeys(map(text, values)))
        axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axis.set_xlim(-0.5, len(names) - 0.5)
        return [names.index(text(value)) for value in values]
    low, high = min(values), max(values)
    if low > 0 and high >= LOGARITHMIC_FROM * low:
        axis.set_xscale("log")
        numbers = panels.ticks(low, high)
        axis.set_xticks(numbers, [f"{number:g}" for number in numbers])
        axis.xaxis.set_minor_locator(NullLocator())
    return list(values)
