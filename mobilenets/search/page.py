"""What a search has found, on one page."""

from collections.abc import Sequence

import numpy as np

from mobilenets.networks.search_space import SearchSpace
from mobilenets.runtime import tables
from mobilenets.search import latency_table, pareto
from mobilenets.search.definition import Search
from mobilenets.search.folder import Evaluated
from mobilenets.search.latency_table import Table
from mobilenets.sweeps.report import html, panels

POINTS = 40  # of a curve over evaluations


def render(
    search: Search,
    space: SearchSpace,
    table: Table,
    evolved: Sequence[Evaluated],
    random: Sequence[Evaluated],
    front: Sequence[Evaluated],
    checked: latency_table.Check | None,
) -> str:
    """The page.

    Args:
      search: what was done.
      space: that was searched.
      table: of latencies.
      evolved: candidates of the evolution, in the order of their evaluation.
      random: those of random search.
      front: the best of the evolution.
      checked: the table against whole networks; None if that was not measured.
    """
    goals = search.objectives.items()
    wanted = ", ".join(
        f"{'more' if w > 0 else 'less'} {n} ({abs(w):g})" for n, w in goals
    )
    if search.reward:
        wanted = (
            f"accuracy * (latency / {search.reward.target:g} ms) ** "
            f"{search.reward.exponent:g}"
        )
    facts = [
        ("space", f"{space.name}, {space.size:,} networks"),
        ("searched for", wanted),
        ("candidates", f"{len(evolved):,} by evolution, {len(random):,} at random"),
        ("latency table", table.device),
    ]
    if checked:
        facts.append(
            (
                "whole networks",
                f"the table is off by {checked.error:.1%} on average of "
                f"{len(checked.measured)}, rank correlation (Kendall's tau-b) "
                f"{checked.rank_correlation:.2f}",
            )
        )
    volume, reached = _hypervolumes(evolved, random)
    if random:
        facts.append(
            (
                "hypervolume",
                f"of accuracy and latency: {reached['evolution']:.4f} by evolution, "
                f"{reached['random search']:.4f} at random",
            )
        )
    return html.render(
        "mobilenets.search",
        "page.html.jinja",
        title=f"Search of {space.name}",
        facts=facts,
        pictures=[
            (
                "Accuracy against latency.",
                html.embedded(_scatter(evolved, random, front)),
            ),
            ("Hypervolume against evaluations.", html.embedded(volume)),
        ],
        front=[
            {
                "latency": f"{one.latency:.4g}",
                "accuracy": f"{one.accuracy:.2%}",
                "parameters": f"{one.parameters:,}",
                "madds": tables.millions(one.madds),
                "blocks": _blocks(space, one),
            }
            for one in front
        ],
    )


def _blocks(space: SearchSpace, one: Evaluated) -> str:
    """The open blocks of a network in words: "E6 k5 SE"."""
    chosen = zip(space.choices, one.genes, strict=True)
    blocks = [choices[gene] for choices, gene in chosen]
    return ", ".join(
        f"E{block.expansion:g} k{block.kernel_size}{' SE' if block.se else ''}"
        for block in blocks
    )


def _scatter(
    evolved: Sequence[Evaluated],
    random: Sequence[Evaluated],
    front: Sequence[Evaluated],
) -> bytes:
    """Every candidate by latency and accuracy."""
    figure = panels.new_figure(panels.WIDTH)
    axis = figure.subplots()
    for label, ones, colour, size in (
        ("random search", random, panels.GREY, 8),
        ("evolution", evolved, "#1f5fa8", 8),
        ("its front", front, "#d1495b", 24),
    ):
        if ones:
            latencies = [one.latency for one in ones]
            accuracies = [100 * one.accuracy for one in ones]
            axis.scatter(latencies, accuracies, s=size, c=colour, label=label, lw=0)
    axis.set_xlabel("latency by the table (ms)")
    panels.finish(axis, "Candidates", "top-1 with the supernet's weights (%)")
    axis.legend(frameon=False)
    return panels.png(figure)


def _hypervolumes(
    evolved: Sequence[Evaluated], random: Sequence[Evaluated]
) -> tuple[bytes, dict[str, float]]:
    """Over the evaluations; and what is reached in the end.

    Of accuracy and latency, the latter as a fraction of the slowest candidate's.
    """
    slowest = max(one.latency for one in (*evolved, *random))
    figure = panels.new_figure(panels.WIDTH)
    axis = figure.subplots()
    reached = {}
    for label, ones, colour in (
        ("random search", random, panels.GREY),
        ("evolution", evolved, "#1f5fa8"),
    ):
        if not ones:
            continue
        values = np.array([[-one.accuracy, one.latency / slowest] for one in ones])
        ends = np.unique(np.linspace(1, len(ones), POINTS).astype(int))
        volumes = [_volume(values[:end]) for end in ends]
        axis.plot(ends, volumes, color=colour, label=label)
        reached[label] = volumes[-1]
    axis.set_xlabel("candidates evaluated")
    panels.finish(axis, "Hypervolume", "of accuracy and latency")
    axis.legend(frameon=False)
    return panels.png(figure), reached


def _volume(values: np.ndarray) -> float:
    """Of the front alone, which has the same."""
    return pareto.hypervolume(values[pareto.best(values)], np.array([0.0, 1.0]))
