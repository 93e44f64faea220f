"""What a search has found, on one page."""

from collections.abc import Mapping, Sequence

from mobilenets.networks.search_space import Genes, SearchSpace
from mobilenets.runtime import tables
from mobilenets.search import pictures
from mobilenets.search.definition import Search
from mobilenets.search.exploration import Explored
from mobilenets.search.folder import Evaluated
from mobilenets.search.latency_table import Check, Table
from mobilenets.sweeps.report import html


def render(
    search: Search,
    space: SearchSpace,
    table: Table,
    explored: Explored,
    front: Sequence[Evaluated],
    found: Mapping[str, Evaluated],
    checked: Check | None,
    measured: Mapping[Genes, float],
) -> str:
    """The page.

    Args:
      search: what was done.
      space: that was searched.
      table: of latencies.
      explored: all candidates.
      front: the best of the evolution, the slowest first.
      found: those of the front that were written down, by name.
      checked: the table against random whole networks; None if not measured.
      measured: milliseconds of whole networks of the front; none if not measured.
    """
    volumes, reached = pictures.hypervolumes(explored)
    drawn = [
        ("Accuracy against latency.", "", pictures.scatter(explored, front)),
        ("Hypervolume against evaluations.", "", volumes),
    ]
    if measured:
        picture = pictures.measured_scatter(front, measured)
        drawn.append(("Accuracy against measured latency.", "", picture))
    drawn.append(("The networks.", "wide", pictures.networks(space, found)))
    names = {one.genes: name for name, one in found.items()}
    return html.render(
        "mobilenets.search",
        "page.html.jinja",
        title=f"Search of {space.name}",
        facts=[
            ("space", f"{space.name}, {space.size:,} networks"),
            ("searched for", _goal(search)),
            *_counts(explored),
            ("latency table", table.device),
            *_checks(front, checked, measured),
            *_volumes(reached),
        ],
        pictures=[(words, kind, html.embedded(png)) for words, kind, png in drawn],
        front=[
            {
                "name": names.get(one.genes, ""),
                "latency": f"{one.latency:.4g}",
                "measured": _number(measured.get(one.genes)),
                "accuracy": f"{one.accuracy:.2%}",
                "parameters": f"{one.parameters:,}",
                "madds": tables.millions(one.madds),
                "blocks": blocks(space, one.genes),
            }
            for one in front
        ],
    )


def _goal(search: Search) -> str:
    """What more or less of is better, in words."""
    if search.reward:
        target, exponent = search.reward.target, search.reward.exponent
        return f"accuracy * (latency / {target:g} ms) ** {exponent:g}"
    return ", ".join(
        f"{'more' if weight > 0 else 'less'} {name} ({abs(weight):g})"
        for name, weight in search.objectives.items()
        if weight
    )


def _counts(explored: Explored) -> list[tuple[str, str]]:
    evolved, random = len(explored.evolved), len(explored.random)
    facts = [("candidates", f"{evolved:,} by evolution, {random:,} at random")]
    if explored.diverged:
        words = f"{explored.diverged:,} candidates, which are worse than all others"
        facts.append(("loss not finite", words))
    return facts


def _checks(
    front: Sequence[Evaluated], checked: Check | None, measured: Mapping[Genes, float]
) -> list[tuple[str, str]]:
    """How the table agrees with whole networks, random ones and those of the front."""
    facts = []
    if checked:
        facts.append(("random networks", str(checked)))
    ones = [one for one in front if one.genes in measured]
    if len(ones) > 1:
        times = tuple(measured[one.genes] for one in ones)
        of_front = Check(tuple(one.latency for one in ones), times)
        facts.append(("networks of the front", str(of_front)))
    return facts


def _volumes(reached: Mapping[str, float]) -> list[tuple[str, str]]:
    ends = ", ".join(f"{volume:.4f} by {name}" for name, volume in reached.items())
    return [("hypervolume", f"of accuracy and latency: {ends}")]


def _number(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.4g}"


def blocks(space: SearchSpace, genes: Genes) -> str:
    """The open blocks of a network in words: "E6 k5 SE"."""
    chosen = zip(space.choices, genes, strict=True)
    return ", ".join(
        f"E{block.expansion:g} k{block.kernel_size}{' SE' if block.se else ''}"
        for block in (choices[gene] for choices, gene in chosen)
    )
