"""How the accuracies of a sweep's entries grew."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from mobilenets.sweeps.report import labels, panels
from mobilenets.sweeps.report.entries import Entry, front, measure
from mobilenets.sweeps.report.looks import SEQUENCE, Looks


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Accuracies of the seeds after a step, from 0 to 1."""

    step: int
    accuracies: tuple[float, ...]

    @property
    def percent(self) -> float:
        """Their mean."""
        return 100 * statistics.mean(self.accuracies)


def evaluations(entry: Entry) -> list[Evaluation]:
    """Of the entry's furthest points, at the steps that all of them have."""
    logs = [
        {
            record["step"]: record[result.headline]
            for record in result.records
            if result.headline in record
        }
        for result in entry.furthest
    ]
    logs = [log for log in logs if log]
    steps = sorted(set.intersection(*map(set, logs))) if logs else []
    return [Evaluation(step, tuple(log[step] for log in logs)) for step in steps]


def draw(axis: Axes, entries: Sequence[Entry], look: Looks) -> None:
    """Draws a curve for each entry, coloured by MAdds where those differ.

    Args:
      axis: an empty panel, the only one.
      entries: with evaluations, at least one.
      look: colours where MAdds are alike, and names.
    """
    madds = [entry.madds for entry in entries]
    norm = None
    if len(set(madds)) > 1:
        norm = panels.colour_bar(axis, min(madds), max(madds), panels.MADDS)
    on_front = front(entries, "madds")
    for entry in sorted(entries, key=lambda entry: entry in on_front):
        colour = SEQUENCE(norm(entry.madds)) if norm else look[entry].colour
        _draw_curve(axis, entry, colour, entry in on_front)
    title = "Accuracy of the averaged weights; thick: on the front by MAdds"
    panels.finish(axis, title, f"{measure(entries)}, %")
    axis.set_xlabel("step")
    if not norm:
        panels.legend(axis, panels.colour_column(look))
    _name(axis, entries, on_front, look)


def _draw_curve(axis: Axes, entry: Entry, colour: Any, is_thick: bool) -> None:
    """The mean over the seeds, with a band from the lowest to the highest."""
    curve = evaluations(entry)
    steps = [evaluation.step for evaluation in curve]
    is_finished = entry.state == "finished"
    axis.plot(
        steps,
        [evaluation.percent for evaluation in curve],
        color=colour,
        linewidth=2 if is_thick else 1,
        linestyle="-" if is_finished else "--",
        alpha=1 if is_finished else panels.PALE,
        marker="." if len(curve) == 1 else "",  # a line of one point is not seen
    )
    axis.fill_between(
        steps,
        [100 * min(evaluation.accuracies) for evaluation in curve],
        [100 * max(evaluation.accuracies) for evaluation in curve],
        color=colour,
        alpha=0.12,
        linewidth=0,
    )


def _name(
    axis: Axes, entries: Sequence[Entry], on_front: Sequence[Entry], look: Looks
) -> None:
    """Writes the names of those on the front at the ends of their curves."""
    ends = [evaluations(entry)[-1] for entry in on_front]
    names = [look[entry].full_name for entry in on_front]
    longest = max(map(len, names), default=0)
    last = max(evaluations(entry)[-1].step for entry in entries)
    axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= last])
    axis.set_xlim(right=last * (1.05 + 0.012 * longest))
    labels.place_in_column(
        axis,
        [(e.step, e.percent, name) for e, name in zip(ends, names, strict=True)],
    )
