"""The pictures of a sweep's report; a file of its own, as matplotlib loads slowly."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mobilenets.networks import published_curves
from mobilenets.runtime.drawing import as_text
from mobilenets.sweeps.report import (
    panels,
    published_panel,
    sweep_panel,
    training_panel,
    values_panel,
)
from mobilenets.sweeps.report.entries import FOLDER, Entry, aspects, front, shown
from mobilenets.sweeps.report.looks import Looks, looks

# The pictures with a front: what stands against accuracy, as code and in words.
COSTS = {
    "accuracy_madds": ("madds", panels.MADDS),
    "accuracy_parameters": ("parameters", "parameters"),
    "accuracy_latency": ("latency", "latency of one image"),
}
VALUES, CURVES = "accuracy_values", "training_curves"
NAMES = (*COSTS, VALUES, CURVES)
MOST_PANELS = 4  # of the picture of the values


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Args:
      name: one of `NAMES`.
      description: what there is to see, for those who cannot.
      png: the file.
      is_wide: whether it would be too small beside another one.
    """

    name: str
    description: str
    png: bytes
    is_wide: bool


@as_text  # what stands in a config may hold a $
def draw(entries: Sequence[Entry]) -> list[Picture]:
    """The pictures for which there is something to draw, in the order of `NAMES`."""
    evaluated, pictures = shown(entries, "madds"), []
    look = looks(evaluated)
    for name, (cost, title) in COSTS.items():
        drawn = shown(entries, cost)
        # One cost of all, as of a sweep of learning rates, says nothing.
        if len(drawn) == 1 or len({getattr(entry, cost) for entry in drawn}) > 1:
            pictures.append(_accuracy(name, cost, title, drawn, look))
    varied = aspects(evaluated)
    if varied and FOLDER not in varied:
        pictures.append(_values(varied, evaluated, look))
    curves = [e for e in evaluated if training_panel.evaluations(e)]
    if any(len(training_panel.evaluations(e)) > 1 for e in curves):
        pictures.append(_training_curves(curves, look))
    return pictures


def _accuracy(
    name: str, cost: str, title: str, drawn: Sequence[Entry], look: Looks
) -> Picture:
    """Accuracy against a cost; beside MAdds what was published of these families."""
    networks = {entry.network for entry in drawn}
    curves = published_curves.of_networks(networks) if cost == "madds" else []
    count = 2 if curves else 1
    figure = panels.new_figure(panels.WIDTH * count)
    axes = figure.subplots(1, count, squeeze=False)[0]
    sweep_panel.draw(axes[0], cost, title, drawn, look)
    if curves:
        published_panel.draw(axes[1], curves, look)
        published_panel.name(axes[1], curves)
    sweep_panel.name(axes[0], cost, drawn, look)
    on_front = ", ".join(
        f"{look[entry].full_name} with {entry.percent:.1f} %"
        for entry in front(drawn, cost)
    )
    description = (
        f"Accuracy of {len(drawn)} networks against {title}. "
        f"On the Pareto front, by rising cost: {on_front or 'none yet'}."
    )
    if curves:
        families = ", ".join(dict.fromkeys(curve.family for curve in curves))
        description += f" Beside them the published networks of {families} on ImageNet."
    return Picture(name, description, panels.png(figure), is_wide=bool(curves))


def _values(
    varied: Mapping[str, Sequence[Any]], evaluated: Sequence[Entry], look: Looks
) -> Picture:
    """Accuracy against each thing that varies; where these are many, the first."""
    names = list(varied)[:MOST_PANELS]
    figure = panels.new_figure(panels.WIDTH * max(1, 0.75 * len(names)))
    axes = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for name, axis in zip(names, axes, strict=True):
        values_panel.draw(axis, name, varied, evaluated, look)
    values_panel.legend(figure, evaluated, look)
    description = f"Accuracy of {len(evaluated)} networks against {', '.join(names)}."
    return Picture(VALUES, description, panels.png(figure), is_wide=len(names) > 1)


def _training_curves(evaluated: Sequence[Entry], look: Looks) -> Picture:
    """Accuracy over the steps."""
    figure = panels.new_figure(width=1.5 * panels.WIDTH)
    training_panel.draw(figure.subplots(), evaluated, look)
    best = max(evaluated, key=lambda entry: entry.percent)
    description = (
        f"Accuracy after each evaluation of {len(evaluated)} networks. "
        f"The best is {look[best].full_name} with {best.percent:.1f} %."
    )
    return Picture(CURVES, description, panels.png(figure), is_wide=True)
