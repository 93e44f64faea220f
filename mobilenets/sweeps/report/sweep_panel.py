"""The entries of a sweep: accuracy against a cost, and the Pareto front."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mobilenets.sweeps.report import labels, panels
from mobilenets.sweeps.report.entries import Entry, front, measure
from mobilenets.sweeps.report.labels import Line, Place
from mobilenets.sweeps.report.looks import Look, Looks
from mobilenets.sweeps.report.panels import GREY, INK, PALE

# How far below the finished accuracies others are drawn at most: a share of their
# range, but so many points of a percent at least.
BELOW, BELOW_POINTS = 0.5, 3
# A line, and a ring around each point.
FRONT: dict[str, Any] = {
    "color": INK,
    "linewidth": 1.2,
    "marker": "o",
    "markersize": 12,
    "markerfacecolor": "none",
}
MOST_NAMED = 10  # where there are more entries, only those on the front have names


@dataclasses.dataclass(frozen=True)
class Mark:
    """Where an entry is drawn: its cost, its accuracy, and that of its seeds."""

    x: float
    y: float
    low: float
    high: float

    @property
    def place(self) -> Place:
        """Of the point."""
        return self.x, self.y


def draw(
    axis: Axes, cost: str, title: str, entries: Sequence[Entry], look: Looks
) -> None:
    """Draws the entries, their front, and what colours and markers tell.

    Args:
      axis: an empty panel.
      cost: "madds", "parameters" or "latency".
      title: of the cost.
      entries: that have this cost and an accuracy, at least one.
      look: of the sweep.
    """
    marks = marks_at([getattr(entry, cost) for entry in entries], entries)
    for entry in entries:
        draw_entry(axis, marks[entry.number], entry, look[entry])
    step = [marks[entry.number] for entry in front(entries, cost)]
    axis.step(
        [mark.x for mark in step],
        [mark.y for mark in step],
        where="post",
        zorder=1,
        **FRONT,
    )
    panels.finish(
        axis, f"Trained here, named by {look.named}", f"{measure(entries)}, %"
    )
    panels.cost_axis(axis, cost, title, [mark.x for mark in marks.values()])
    on_front = Line2D([], [], label="Pareto front", **FRONT)
    panels.legend(axis, meanings(entries, marks, look, [on_front]))


def name(axis: Axes, cost: str, entries: Sequence[Entry], look: Looks) -> None:
    """Writes names beside the points of the front, at the very end.

    Args:
      axis: with the entries drawn, in a figure whose layout will not change.
      cost: against which they are drawn.
      entries: all of them; where they are few, each has its name.
      look: of the sweep.
    """
    marks = marks_at([getattr(entry, cost) for entry in entries], entries)
    on_front = front(entries, cost)
    others = entries if len(entries) <= MOST_NAMED else []
    named = {e.number: (*marks[e.number].place, look[e].name) for e in on_front}
    named |= {e.number: (*marks[e.number].place, look[e].name) for e in others}
    lines: list[Line] = [((m.x, m.low), (m.x, m.high)) for m in marks.values()]
    for a, b in itertools.pairwise(marks[entry.number] for entry in on_front):
        lines += [(a.place, (b.x, a.y)), ((b.x, a.y), b.place)]
    labels.place(axis, list(named.values()), lines)


def marks_at(xs: Sequence[float], entries: Sequence[Entry]) -> dict[int, Mark]:
    """Where to draw the entries, by number.

    What was ended early may lie so low that all others would lie in a line: then it is
    drawn a little below them.

    Args:
      xs: of each entry.
      entries: with an accuracy.
    """
    finished = [entry.percent for entry in entries if entry.state == "finished"]
    floor = -math.inf
    if finished:
        spread = max(finished) - min(finished)
        floor = min(finished) - max(BELOW_POINTS, BELOW * spread)
    marks = {}
    for x, entry in zip(xs, entries, strict=True):
        all_of_it = [100 * accuracy for accuracy in entry.accuracies]
        heights = (entry.percent, min(all_of_it), max(all_of_it))
        if entry.state != "finished":
            heights = (max(height, floor) for height in heights)
        marks[entry.number] = Mark(x, *heights)
    return marks


def draw_entry(axis: Axes, mark: Mark, entry: Entry, look: Look) -> None:
    """A point, hollow if not trained to its end, with the range over its seeds."""
    is_finished = entry.state == "finished"
    opacity = 1 if is_finished else PALE
    axis.plot(
        mark.x,
        mark.y,
        look.marker,
        color=look.colour,
        markerfacecolor=look.colour if is_finished else "none",
        markersize=7,
        alpha=opacity,
        zorder=3,
    )
    if len(entry.accuracies) > 1:
        axis.errorbar(
            mark.x,
            mark.y,
            [[mark.y - mark.low], [mark.high - mark.y]],
            fmt="none",
            ecolor=look.colour,
            elinewidth=1.2,
            capsize=3,
            alpha=opacity,
            zorder=2,
        )


def meanings(
    entries: Sequence[Entry],
    marks: Mapping[int, Mark],
    look: Looks,
    lines: Sequence[Line2D] = (),
) -> dict[str, list[Line2D]]:
    """The columns of a legend: colours, markers, how a point is drawn, and lines."""
    columns = panels.colour_column(look)
    if look.marked:
        columns[look.marked] = [
            Line2D([], [], linestyle="", marker=marker, color=GREY, label=value)
            for value, marker in look.markers.items()
        ]
    drawing = list(lines)
    if any(entry.state != "finished" for entry in entries):
        hollow = {"marker": "o", "markerfacecolor": "none", "alpha": PALE}
        label = "pruned or unfinished"
        drawing.append(Line2D([], [], linestyle="", color=INK, label=label, **hollow))
    if any(marks[entry.number].y > entry.percent for entry in entries):
        drawing.append(panels.words("(at the bottom: lower still)"))
    if any(len(entry.accuracies) > 1 for entry in entries):
        bar = Line2D([], [], linestyle="", marker="|", markersize=12, color=GREY)
        bar.set_label("lowest to highest of the seeds")
        drawing.append(bar)
    return columns | ({"": drawing} if drawing else {})
