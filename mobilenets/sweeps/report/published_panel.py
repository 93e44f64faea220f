"""The papers' networks on ImageNet, to be seen beside a sweep's own."""

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mobilenets.networks.published_curves import Curve
from mobilenets.sweeps.report import labels, panels
from mobilenets.sweeps.report.entries import pareto_front
from mobilenets.sweeps.report.labels import Label, Line, Place
from mobilenets.sweeps.report.looks import PALETTE, Looks


def draw(axis: Axes, curves: Sequence[Curve], look: Looks) -> None:
    """Draws the networks, a colour a family, and a line through each curve's front.

    Args:
      axis: an empty panel.
      curves: at least one.
      look: of the sweep. A family has the colour of its networks there, if they have
        one.
    """
    families = list(dict.fromkeys(curve.family for curve in curves))
    handles = []
    for i, curve in enumerate(curves):
        own = (look.colours.get(network.architecture) for network in curve.networks)
        default = PALETTE[families.index(curve.family) % len(PALETTE)]
        colour = next((c for c in own if c is not None), default)
        is_second = i > 0 and curves[i - 1].family == curve.family
        handles.append(_draw_curve(axis, curve, colour, is_second))
    title = "Published, on ImageNet: compare the shapes, not the values"
    panels.finish(axis, title, "top-1, %")
    costs = [x for curve in curves for x, _ in _places(curve)]
    panels.cost_axis(axis, "madds", panels.MADDS, costs)
    panels.legend(axis, {"": handles})


def name(axis: Axes, curves: Sequence[Curve]) -> None:
    """Writes names where there is room, of the fronts' first, at the very end."""
    names: list[Label] = []
    lines: list[Line] = []
    for curve in curves:
        places = _places(curve)
        on_front = pareto_front(places)
        others = (k for k in range(len(places)) if k not in on_front)
        names += [(*places[k], curve.networks[k].label) for k in (*on_front, *others)]
        lines += [(place, place) for place in places]
        lines += itertools.pairwise(places[k] for k in on_front)
    labels.place(axis, names, lines, labels.NEAR)


def _places(curve: Curve) -> list[Place]:
    return [(1e6 * n.million_madds, n.top1) for n in curve.networks]


def _draw_curve(axis: Axes, curve: Curve, colour: Any, is_second: bool) -> Line2D:
    """Points and the line of their front; returns both for a legend."""
    fill, dashes = ("white", "--") if is_second else (colour, "-")
    places = _places(curve)
    x, y = zip(*places, strict=True)
    axis.plot(x, y, "o", ms=5, color=colour, markerfacecolor=fill, zorder=3)
    x, y = zip(*(places[k] for k in pareto_front(places)), strict=True)
    axis.plot(x, y, dashes, color=colour, linewidth=1, zorder=2)
    return Line2D(
        [],
        [],
        marker="o",
        markersize=5,
        color=colour,
        markerfacecolor=fill,
        linestyle=dashes,
        label=f"{curve.family}, {curve.whose}; the line: their front",
    )
