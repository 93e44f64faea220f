"""Evolution on a function whose best points are known."""

import itertools

import numpy as np
import pytest

from mobilenets.search import evolution
from mobilenets.search.evolution import Settings, evolve, random_candidates

COUNTS = (4,) * 8
SETTINGS = Settings(
    population=12,
    generations=12,
    crossover=0.9,
    mutation=0.1,
    weights=(1.0, 1.0, 0.0),
    seed=0,
)


def reach(candidates):
    """More of the first half, less of the second; the third is noise of the genes."""
    genes = np.array(candidates)
    noise = (genes * np.arange(1, 9) * 7919) % 13
    first, second = genes[:, :4].sum(1), -genes[:, 4:].sum(1)
    return np.stack([first, second, noise.sum(1)], 1)


def run(settings=SETTINGS, evaluate=reach):
    return list(evolve(COUNTS, evaluate, settings))


def test_it_finds_the_point_that_is_best_in_both():
    best = (3, 3, 3, 3, 0, 0, 0, 0)
    survivors = run()[-1]
    assert best in survivors
    drawn = random_candidates(COUNTS, 12 * 12, seed=0)
    assert best not in drawn
    assert reach(survivors)[:, :2].sum(1).mean() > reach(drawn)[:, :2].sum(1).max()


def test_no_candidate_is_evaluated_twice():
    seen = []

    def evaluate(candidates):
        seen.extend(candidates)
        return reach(candidates)

    run(evaluate=evaluate)
    assert len(seen) == len(set(seen)) == 12 * 12


def test_the_seed_decides_everything():
    assert run() == run()
    other = Settings(**{**SETTINGS.__dict__, "seed": 1})
    assert run()[0] != run(other)[0]


def test_an_objective_without_weight_has_no_say():
    def other(candidates):
        values = reach(candidates)
        values[:, 2] = 100 * np.arange(len(values))
        return values

    assert run() == run(evaluate=other)


def test_a_small_space_is_searched_to_its_end():
    settings = Settings(3, 3, 0.9, 0.1, (1.0,), 0)
    seen = []

    def evaluate(candidates):
        seen.extend(candidates)
        return np.array(candidates).sum(1, keepdims=True)

    list(evolve((3, 3), evaluate, settings))
    assert sorted(seen) == [(i, j) for i in range(3) for j in range(3)]


def test_a_child_has_the_beginning_of_one_parent_and_the_end_of_the_other():
    settings = Settings(4, 2, 1.0, 0.0, (1.0,), 0)
    generator = np.random.default_rng(0)
    parents = [(0,) * 8, (1,) * 8]
    children = {
        evolution._child((2,) * 8, parents, settings, generator) for _ in range(200)
    }
    for child in children:
        changes = sum(a != b for a, b in itertools.pairwise(child))
        assert changes <= 1
    assert len(children) > 8


@pytest.mark.parametrize("seed", [0, 1])
def test_random_candidates_differ_and_follow_the_seed(seed):
    drawn = random_candidates(COUNTS, 50, seed)
    assert len(set(drawn)) == 50
    assert drawn == random_candidates(COUNTS, 50, seed)
    assert drawn[:20] == random_candidates(COUNTS, 20, seed)


def test_random_search_does_not_begin_as_the_evolution_does():
    """Else the two would not be independent."""
    first = []

    def evaluate(candidates):
        first.extend(candidates)
        return reach(candidates)

    next(evolve(COUNTS, evaluate, SETTINGS))
    drawn = random_candidates(COUNTS, len(first), SETTINGS.seed)
    assert not {*first} & {*drawn}
