"""What a search goes through: the evolution, random search, and what they find."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from mobilenets.errors import UserError
from mobilenets.networks.search_space import Genes
from mobilenets.search import evolution, pareto
from mobilenets.search.definition import Search
from mobilenets.search.folder import Evaluated
from mobilenets.search.reward import reward

_WORST = -1e30  # an infinity would make the crowding distance no number
Evaluate = Callable[[Sequence[Genes]], list[Evaluated]]


@dataclasses.dataclass(frozen=True)
class Explored:
    """The candidates of a search, each in the order of its evaluation.

    Args:
      evolved: of the evolution.
      random: of random search, as many; none if there is none.
    """

    evolved: list[Evaluated]
    random: list[Evaluated]

    @property
    def diverged(self) -> int:
        """How many have a loss that is not finite."""
        return sum(one.accuracy is None for one in {*self.evolved, *self.random})


def explore(
    search: Search,
    counts: Sequence[int],
    evaluate: Evaluate,
    tell: Callable[[str], None],
) -> Explored:
    """Goes through the evolution, and then through random search.

    What is evaluated, and in which order, follows from the search and from what the
    candidates reach. So all workers, and a search that resumes, go the same way.

    Args:
      search: what to do.
      counts: choices of each position.
      evaluate: what candidates reach.
      tell: is given a line for each generation.
    """
    weights = [1.0] if search.reward else map(abs, search.objectives.values())
    settings = evolution.Settings(
        search.population,
        search.generations,
        search.crossover,
        search.mutation,
        tuple(weights),
        search.seed,
    )
    evolved: list[Evaluated] = []
    start = time.monotonic()

    def values_of(candidates: Sequence[Genes]) -> np.ndarray:
        evolved.extend(evaluate(candidates))
        new = evolved[-len(candidates) :]
        return np.array([values(search, one) for one in new])

    for number, _ in enumerate(evolution.evolve(counts, values_of, settings), 1):
        best = max(one.accuracy or 0.0 for one in evolved)
        tell(
            f"generation {number} of {search.generations}: {len(evolved):,} candidates,"
            f" the most accurate {best:.1%}; {time.monotonic() - start:.0f} s"
        )
    random: list[Evaluated] = []
    if search.random_search:
        drawn = evolution.random_candidates(counts, search.budget, search.seed)
        for first in range(0, len(drawn), search.population):
            random += evaluate(drawn[first : first + search.population])
            tell(f"random search: {len(random):,} of {search.budget:,} candidates")
    return Explored(evolved, random)


def values(search: Search, one: Evaluated) -> list[float]:
    """The objectives of a candidate, of which more is better.

    One whose loss is not finite is worse than any other in each of them.
    """
    if one.accuracy is None:
        return [_WORST] * (1 if search.reward else len(search.objectives))
    if search.reward:
        of = search.reward
        return [reward(one.accuracy, one.latency, of.target, of.exponent)]
    return [
        math.copysign(getattr(one, name), weight)
        for name, weight in search.objectives.items()
    ]


def sound(seen: Iterable[Evaluated]) -> list[Evaluated]:
    """Those whose loss is finite."""
    return [one for one in seen if one.accuracy is not None]


def front(search: Search, seen: Sequence[Evaluated]) -> list[Evaluated]:
    """What no other dominates in the objectives that count, the slowest first.

    Raises:
      UserError: no candidate has a finite loss.
    """
    ones = sound(seen)
    if not ones:
        raise UserError(
            "No candidate has a finite loss: the supernet has diverged. Train it in "
            "another --workdir, with a lower learning rate."
        )
    reached = -np.array([values(search, one) for one in ones])
    if not search.reward:
        reached = reached[:, [weight != 0 for weight in search.objectives.values()]]
    best = [ones[i] for i in pareto.best(reached)]
    return sorted(best, key=lambda one: (-one.latency, one.genes))


def most_accurate(front: Sequence[Evaluated], number: int) -> list[Evaluated]:
    """So many of a front: it is cut by latency, and each part gives its best.

    A front may have poor networks, which are there for their parameters, say.

    Args:
      front: the slowest first.
      number: of networks; all, if there are fewer.
    """
    parts = np.array_split(np.arange(len(front)), min(number, len(front)))
    return [
        max((front[i] for i in part), key=lambda one: one.accuracy or 0.0)
        for part in parts
    ]
