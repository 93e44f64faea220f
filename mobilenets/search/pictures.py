"""The pictures of a search's page."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from mobilenets.networks.search_space import Genes, SearchSpace
from mobilenets.search import exploration, pareto
from mobilenets.search.exploration import Explored
from mobilenets.search.folder import Evaluated
from mobilenets.sweeps.report import panels

BLUE, RED = "#1f5fa8", "#d1495b"
POINTS = 40  # of a curve over evaluations
ORDERS = 100  # of random search, from which its band is made
BAND = (5, 95)  # percentiles of them
_REFERENCE = np.ones(2)  # of hypervolumes

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
        if ones := exploration.sound(ones):
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
    accuracies = [100 * (one.accuracy or 0.0) for one in ones]
    axis.scatter(latencies, accuracies, s=size, c=colour, label=label, lw=0)


def hypervolumes(explored: Explored) -> tuple[bytes, dict[str, float]]:
    """Over the evaluations; and what is reached in the end.

    See `Limits`. Random search could have met its candidates in any order: the band has
    most of what a number of them reaches, the line their median.
    """
    figure = panels.new_figure(panels.WIDTH)
    axis = figure.subplots()
    reached = {}
    limits = Limits.of([*explored.random, *explored.evolved])
    if explored.random:
        values = limits.values(explored.random)
        ends = _ends(len(values))
        draw = np.random.default_rng(0)
        volumes = np.array([_volumes(draw.permutation(values)) for _ in range(ORDERS)])
        low, middle, high = np.percentile(volumes, [BAND[0], 50, BAND[1]], axis=0)
        axis.fill_between(ends, low, high, color=panels.GREY, alpha=0.25, lw=0)
        axis.plot(ends, middle, color=panels.GREY, label="random search")
        reached["random search"] = float(middle[-1])
    volumes = _volumes(limits.values(explored.evolved))
    axis.plot(_ends(len(explored.evolved)), volumes, color=BLUE, label="evolution")
    reached["evolution"] = volumes[-1]
    axis.set_xlabel("candidates evaluated")
    panels.finish(axis, "Hypervolume", "of accuracy and latency")
    axis.legend(frameon=False)
    return panels.png(figure), reached


@dataclasses.dataclass(frozen=True)
class Limits:
    """The best and the worst of candidates in accuracy and in latency.

    A hypervolume is the share that a front dominates of the rectangle between them.
    With accuracy 0 as its limit it would measure little but latency, since candidates
    differ by a few points.

    Args:
      best: the negative of the highest accuracy, and the lowest latency.
      worst: of the lowest and of the highest.
    """

    best: np.ndarray
    worst: np.ndarray

    @classmethod
    def of(cls, ones: Sequence[Evaluated]) -> "Limits":
        """Of those candidates whose loss is finite."""
        values = _values(exploration.sound(ones))
        return cls(values.min(0), values.max(0))

    def values(self, ones: Sequence[Evaluated]) -> np.ndarray:
        """[candidates, 2], from 0 for the best to 1 for the worst and the diverged."""
        span = np.where(self.worst > self.best, self.worst - self.best, 1)
        values = np.ones((len(ones), 2))
        is_sound = [one.accuracy is not None for one in ones]
        values[is_sound] = (_values(exploration.sound(ones)) - self.best) / span
        return values

    def volume(self, ones: Sequence[Evaluated]) -> float:
        """The hypervolume of candidates."""
        values = self.values(ones)
        return pareto.hypervolume(values[pareto.best(values)], _REFERENCE)


def _values(ones: Sequence[Evaluated]) -> np.ndarray:
    values = [[-(one.accuracy or 0.0), one.latency] for one in ones]
    return np.reshape(values, (-1, 2))


def _ends(count: int) -> np.ndarray:
    return np.unique(np.linspace(1, count, POINTS).astype(int))


def _volumes(values: np.ndarray) -> list[float]:
    ends = _ends(len(values)).tolist()
    return pareto.hypervolumes(values, _REFERENCE, ends)


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
