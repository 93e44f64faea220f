"""NSGA-II with weights, and random search, over the genes of a space.

A search is a function of its seed and of what the candidates reach. So one that was
interrupted goes through the same generations again, and what was evaluated before is
looked up.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from mobilenets.networks.search_space import Genes
from mobilenets.search import pareto

# What each of some candidates reaches, [candidates, objectives]; more is better.
Evaluate = Callable[[Sequence[Genes]], np.ndarray]
# In place of a generation's number, so that random search draws other candidates.
_NO_GENERATION = 2**31
# Attempts at a child that is new, before its genes are drawn at random.
ATTEMPTS = 20


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a population evolves. MoGA's rates are not known: these are ours.

    Args:
      population: candidates of a generation.
      generations: how many, the first, random one included.
      crossover: the probability that a child has two parents.
      mutation: the probability that a gene of a child is drawn anew.
      weights: of the objectives in the crowding distance, 0 or more. An objective with
        0 has no say.
      seed: of all draws.
    """

    population: int
    generations: int
    crossover: float
    mutation: float
    weights: tuple[float, ...]
    seed: int


def evolve(
    counts: Sequence[int], evaluate: Evaluate, settings: Settings
) -> Iterator[list[Genes]]:
    """Yields the survivors of each generation.

    In every generation there are as many new candidates as the population has: no
    genes are evaluated twice.

    Args:
      counts: choices of each position; the space has at least as many networks as are
        evaluated.
      evaluate: of new candidates.
      settings: of the evolution.
    """
    known: dict[Genes, np.ndarray] = {}
    survivors: list[Genes] = []
    for generation in range(settings.generations):
        generator = np.random.default_rng((settings.seed, generation))
        children = _children(counts, survivors, known, settings, generator)
        reached = np.asarray(evaluate(children), float)
        known |= dict(zip(children, reached, strict=True))
        survivors = _survivors([*survivors, *children], known, settings)
        yield survivors


def random_candidates(counts: Sequence[int], number: int, seed: int) -> list[Genes]:
    """So many different candidates, each network of the space as likely."""
    generator = np.random.default_rng((seed, _NO_GENERATION))
    found: dict[Genes, None] = {}
    while len(found) < number:
        found[_random(counts, generator)] = None
    return list(found)


def _random(counts: Sequence[int], generator: np.random.Generator) -> Genes:
    return tuple(int(gene) for gene in generator.integers(0, counts))


def _children(
    counts: Sequence[int],
    parents: Sequence[Genes],
    known: Mapping[Genes, np.ndarray],
    settings: Settings,
    generator: np.random.Generator,
) -> list[Genes]:
    """New candidates; parents are ordered, the fittest first."""
    children: dict[Genes, None] = {}
    attempts = 0
    while len(children) < settings.population:
        is_random = not parents or attempts >= ATTEMPTS
        if is_random:
            child = _random(counts, generator)
        else:
            child = _child(counts, parents, settings, generator)
        attempts += 1
        if child not in known and child not in children:
            children[child] = None
            attempts = 0
    return list(children)


def _child(
    counts: Sequence[int],
    parents: Sequence[Genes],
    settings: Settings,
    generator: np.random.Generator,
) -> Genes:
    first, second = (_tournament(parents, generator) for _ in range(2))
    child = np.array(first)
    if generator.random() < settings.crossover and len(child) > 1:
        point = generator.integers(1, len(child))
        child[point:] = second[point:]
    mutates = generator.random(len(child)) < settings.mutation
    drawn = generator.integers(0, counts)
    return tuple(int(gene) for gene in np.where(mutates, drawn, child))


def _tournament(parents: Sequence[Genes], generator: np.random.Generator) -> Genes:
    """The fitter of two at random."""
    return parents[generator.integers(0, len(parents), 2).min()]


def _survivors(
    candidates: Sequence[Genes], known: Mapping[Genes, np.ndarray], settings: Settings
) -> list[Genes]:
    """The fittest, by front and then by crowding distance, the fittest first."""
    weights = np.array(settings.weights)
    counted = weights > 0
    values = -np.array([known[genes] for genes in candidates])[:, counted]
    weights = weights[counted] / weights[counted].sum()
    order: list[int] = []
    for front in pareto.fronts(values):
        distances = pareto.crowding(values[front], weights)
        order += front[np.argsort(-distances, kind="stable")].tolist()
    return [candidates[i] for i in order[: settings.population]]
