"""The pictures of a search's page."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from mobilenets.networks.search_space import Genes, SearchSpace
from mobilenets.search import pareto
from mobilenets.search.exploration import Explored
from mobilenets.search.folder import Evaluated
from mobilenets.sweeps.report import panels

BLUE, RED = "#1f5fa8", "#d1495b"
POINTS = 40  # of a curve over evaluations
ORDERS = 100  # of random search, from which its band is made
BAND = (5, 95)  # percentiles of them

# Of the kernels in a drawn network, from the smallest.
_KERNELS = ("#9ecae1", "#4292c6", "#08519c", "#041f4a")
_MOST = 6.0  # the height of a row of blocks: its largest expansion, by default


def scatter(explored: Explored, front: Sequence[Evaluated]) -> bytes:
    """Every candidate by its latency in the table, and its accuracy."""
    figure = panels.new_figure(panels.WIDTH)
    axis = figure.subplots()
    for label, ones, colour, size in (
        ("random search", explored.random, panels.GREY, 8),
        ("evolution", explored.evolved, BLUE, 8),
        ("its front", front, RED, 24),
    ):
        if ones:
            _dots(axis, [one.latency for one in ones], ones, colour, size, label)
    axis.set_xlabel("latency by the table (ms)")
    panels.finish(axis, "Candidates", "top-1 with the supernet's weights (%)")
    axis.legend(frameon=False)
    return panels.png(figure)


def measured_scatter(
    front: Sequence[Evaluated], measured: Mapping[Genes, float]
) -> bytes:
    """Networks of the front by what they take as a whole, and by the table."""
    figure = panels.new_figure(panels.WIDTH)
    axis = figure.subplots()
    ones = [one for one in front if one.genes in measured]
    _dots(axis, [one.latency for one in ones], ones, panels.GREY, 12, "by the table")
    times = [measured[one.genes] for one in ones]
    _dots(axis, times, ones, RED, 24, "measured as a whole")
    axis.set_xlabel("latency (ms)")
    panels.finish(axis, "The front, measured", "top-1 with the supernet's weights (%)")
    axis.legend(frameon=False)
    return panels.png(figure)


def _dots(
    axis: Axes,
    latencies: Sequence[float],
    ones: Sequence[Evaluated],
    colour: str,
    size: int,
    label: str,
) -> None:
    accuracies = [100 * one.accuracy for one in ones]
    axis.scatter(latencies, accuracies, s=size, c=colour, label=label, lw=0)


def hypervolumes(explored: Explored) -> tuple[bytes, dict[str, float]]:
    """Over the evaluations; and what is reached in the end.

    Of accuracy and latency, the latter as a fraction of the slowest candidate's. Random
    search could have met its candidates in any order: the band has most of what a
    number of them reaches, the line their median.
    """
    figure = panels.new_figure(panels.WIDTH)
    axis = figure.subplots()
    reached = {}
    slowest = max(one.latency for one in (*explored.random, *explored.evolved))
    if explored.random:
        values = _values(explored.random, slowest)
        ends = _ends(len(values))
        draw = np.random.default_rng(0)
        volumes = np.array([_volumes(draw.permutation(values)) for _ in range(ORDERS)])
        low, middle, high = np.percentile(volumes, [BAND[0], 50, BAND[1]], axis=0)
        axis.fill_between(ends, low, high, color=panels.GREY, alpha=0.25, lw=0)
        axis.plot(ends, middle, color=panels.GREY, label="random search")
        reached["random search"] = float(middle[-1])
    volumes = _volumes(_values(explored.evolved, slowest))
    axis.plot(_ends(len(explored.evolved)), volumes, color=BLUE, label="evolution")
    reached["evolution"] = volumes[-1]
    axis.set_xlabel("candidates evaluated")
    panels.finish(axis, "Hypervolume", "of accuracy and latency")
    axis.legend(frameon=False)
    return panels.png(figure), reached


def volume(ones: Sequence[Evaluated], slowest: float) -> float:
    """The hypervolume of candidates, see `hypervolumes`.

    Args:
      ones: candidates.
      slowest: the latency that counts as 1.
    """
    values = _values(ones, slowest)
    return pareto.hypervolume(values[pareto.best(values)], np.array([0.0, 1.0]))


def _values(ones: Sequence[Evaluated], slowest: float) -> np.ndarray:
    return np.array([[-one.accuracy, one.latency / slowest] for one in ones])


def _ends(count: int) -> np.ndarray:
    return np.unique(np.linspace(1, count, POINTS).astype(int))


def _volumes(values: np.ndarray) -> list[float]:
    ends = _ends(len(values)).tolist()
    return pareto.hypervolumes(values, np.array([0.0, 1.0]), ends)


def networks(space: SearchSpace, named: Mapping[str, Evaluated]) -> bytes:
    """The blocks of networks, a row each: height, colour and a dot say what they are.

    Args:
      space: of the networks.
      named: the networks by name, the slowest first.
    """
    kernels = sorted({c.kernel_size for choices in space.choices for c in choices})
    colours = dict(zip(kernels, _KERNELS, strict=False))
    tallest = max([c.expansion for choices in space.choices for c in choices] + [_MOST])
    figure = panels.new_figure(2 * panels.WIDTH)
    figure.set_figheight(1.2 + 0.75 * len(named))
    axis = figure.subplots()
    for row, one in enumerate(named.values()):
        for place, block in enumerate(space.network(one.genes).backbone.blocks):
            height = 0.8 * block.expansion / tallest
            is_open = place in space.positions
            axis.add_patch(
                Rectangle(
                    (place - 0.4, -row),
                    0.8,
                    height,
                    color=colours.get(block.kernel_size, panels.INK)
                    if is_open
                    else "#d5d9de",
                    lw=0,
                )
            )
            if block.se:
                axis.plot(place, height - row + 0.06, ".", color=RED)
    axis.set_xlim(-0.7, len(space.backbone.blocks) - 0.3)
    axis.set_ylim(0.85 - len(named), 1.05)
    axis.set_yticks([0.4 - row for row in range(len(named))], list(named))
    axis.set_xticks(range(len(space.backbone.blocks)))
    axis.set_xlabel("block; its height is the expansion, grey ones are fixed")
    axis.set_title("What was found", loc="left", fontsize=11, color=panels.INK)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    marks: list[Artist] = [
        Patch(color=c, label=f"{k} x {k}") for k, c in colours.items()
    ]
    marks.append(
        Line2D([], [], color=RED, marker=".", ls="", label="squeeze-and-excitation")
    )
    figure.legend(
        handles=marks, loc="outside upper right", ncols=len(marks), frameon=False
    )
    return panels.png(figure)
