"""How the panels of a report's pictures look: their axes, their legends, their file."""

import io
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from mobilenets.sweeps.report.entries import short
from mobilenets.sweeps.report.looks import SEQUENCE, Looks

INK, GREY = "#2b2f36", "#7a808a"
DPI = 130
WIDTH, HEIGHT = 6.4, 5.6  # of a panel with its legend, in inches
PALE = 0.55  # opacity of what was not trained to its end
MADDS = "multiply-adds of one image"


def new_figure(width: float) -> Figure:
    """An empty figure as wide as that, in inches."""
    figure = Figure(figsize=(width, HEIGHT), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)  # without it each measurement of a text makes one anew
    return figure


def png(figure: Figure) -> bytes:
    """The file of a figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def finish(axis: Axes, title: str, y_title: str) -> None:
    """What all panels have in common."""
    axis.set_title(title, loc="left", fontsize=11, color=INK)
    axis.set_ylabel(y_title)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.margins(y=0.1)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def cost_axis(axis: Axes, cost: str, title: str, costs: Sequence[float]) -> None:
    """Makes the horizontal axis logarithmic, with plain numbers.

    Args:
      axis: with the points drawn.
      cost: "latency", in seconds, or the name of a count.
      title: of the axis.
      costs: of the points.
    """
    middle = math.sqrt(min(costs) * max(costs))
    low = min(min(costs) / 1.5, middle / 2)
    high = max(max(costs) * 1.15, middle * 2)
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    numbers = ticks(low, high)
    axis.set_xticks(numbers, [_cost_text(cost, number) for number in numbers])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(title)


def _cost_text(cost: str, value: float) -> str:
    return f"{1e3 * value:.4g} ms" if cost == "latency" else short(value)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis, close enough that there are some.

    >>> ticks(0.8e6, 12e6)
    [1000000.0, 2000000.0, 5000000.0, 10000000.0]
    >>> ticks(150, 400), ticks(1, 10_000)
    ([150.0, 200.0, 300.0, 400.0], [1.0, 10.0, 100.0, 1000.0, 10000.0])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits, enough in (
        ((10,), 4),
        ((10, 20, 50), 3),
        ((10, 15, 20, 30, 40, 50, 70), 0),
    ):
        every = [float(f"{d}e{n - 1}") for n in decades for d in digits]
        found = [tick for tick in every if low <= tick <= high]
        if len(found) >= enough:
            break
    return found


def colour_bar(axis: Axes, low: float, high: float, title: str) -> LogNorm:
    """Tells which colour of `SEQUENCE` stands for which count.

    Args:
      axis: gets the bar beside it.
      low: the smallest count; and
      high: the largest.
      title: of the bar.

    Returns:
      What turns a count into a place in `SEQUENCE`.
    """
    norm = LogNorm(low, high)
    numbers = ticks(low, high)
    if len(numbers) < 2:  # they lie too close to each other for round ones
        numbers = [low, high]
    figure = cast(Figure, axis.figure)
    bar = figure.colorbar(ScalarMappable(norm, SEQUENCE), ax=axis, label=title)
    bar.set_ticks(numbers, labels=[short(number) for number in numbers])
    bar.minorticks_off()
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return norm


def colour_column(look: Looks) -> dict[str, list[Line2D]]:
    """A column of a legend: what the colours tell; none if they tell nothing."""
    if not look.coloured:
        return {}
    handles = [
        Line2D([], [], linestyle="", marker="o", color=colour, label=value)
        for value, colour in look.colours.items()
    ]
    return {look.coloured: handles}


def legend(owner: Axes | Figure, columns: Mapping[str, Sequence[Line2D]]) -> None:
    """Writes columns below a panel, or below all; each under its heading if any."""
    if not columns:
        return
    with_headings = [
        [words(heading), *column] if any(columns) else column
        for heading, column in columns.items()
    ]
    filled = itertools.zip_longest(*with_headings, fillvalue=words(""))
    handles = itertools.chain.from_iterable(zip(*filled, strict=True))
    place: dict[str, Any] = {"loc": "outside lower left"}
    if isinstance(owner, Axes):
        place = {"loc": "upper left", "bbox_to_anchor": (0, -0.14), "borderaxespad": 0}
    written = owner.legend(
        handles=list(handles),
        ncols=len(columns),
        **place,
        frameon=False,
        fontsize=9,
    )
    for text in written.get_texts():
        if text.get_text() in columns:
            text.set_fontweight("bold")


def words(text: str) -> Line2D:
    """A line of a legend with nothing but words."""
    return Line2D([], [], linestyle="", label=text)
