"""What is made of the candidates of a search."""

import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.search import exploration, pictures
from mobilenets.search.definition import Reward, Search
from mobilenets.search.exploration import Explored
from mobilenets.search.folder import Evaluated

SEARCH = Search(supernet="any", objectives={"accuracy": 1.0, "latency": -1.0})


def one(number, accuracy, latency, parameters=1):
    return Evaluated((number,), accuracy, latency, parameters, madds=3, activations=5)


def test_more_of_an_objective_is_better_as_its_sign_says():
    candidate = one(0, 0.5, 10.0, parameters=7)
    objectives = {"accuracy": 1.0, "latency": -2.0, "parameters": 0.5}
    objectives |= {"madds": -1.0, "activations": -1.0}
    search = Search(supernet="any", objectives=objectives)
    assert exploration.values(search, candidate) == [0.5, -10.0, 7.0, -3.0, -5.0]
    # MnasNet's: twice the target costs 5 % of the accuracy.
    search = Search(supernet="any", reward=Reward(target=5.0))
    assert exploration.values(search, candidate) == [pytest.approx(0.5 * 2**-0.07)]


def test_the_front_has_no_candidate_that_has_diverged():
    seen = [one(0, None, 1.0), one(1, 0.5, 2.0), one(2, 0.4, 3.0), one(3, 0.6, 3.0)]
    assert exploration.front(SEARCH, seen) == [seen[3], seen[1]]
    assert Explored(seen, seen[:1]).diverged == 1
    # No hit, but a finite loss.
    assert exploration.front(SEARCH, [one(4, 0.0, 1.0)]) == [one(4, 0.0, 1.0)]
    with pytest.raises(UserError, match="No candidate has a finite loss"):
        exploration.front(SEARCH, seen[:1])


def test_an_objective_without_weight_makes_no_front():
    objectives = {"accuracy": 1.0, "latency": -1.0, "parameters": 0.0}
    search = Search(supernet="any", objectives=objectives)
    seen = [one(0, 0.5, 2.0, parameters=1), one(1, 0.4, 3.0, parameters=9)]
    assert exploration.front(search, seen) == seen[:1]


def test_of_each_part_of_the_front_the_most_accurate_is_written_down():
    # The slowest are there for their parameters.
    front = [one(0, 0.3, 9.0), one(1, 0.7, 8.0), one(2, 0.6, 5.0), one(3, 0.5, 2.0)]
    assert exploration.most_accurate(front, 2) == [front[1], front[2]]
    assert exploration.most_accurate(front, 9) == front


def test_the_hypervolume_of_all_orders_ends_in_one():
    draw = np.random.default_rng(0)
    random = [one(i, draw.random() / 2, draw.random()) for i in range(50)]
    best = one(99, 0.9, 0.0)
    _, reached = pictures.hypervolumes(Explored([*random[:49], best], random))
    # One candidate is the most accurate and the fastest: all of the area.
    assert reached["evolution"] == 1
    slowest = max(one.latency for one in random)
    least = min(one.accuracy for one in random)
    area = (
        sum(  # by hand: for each part of the latency the best accuracy so far
            max(
                [r.accuracy - least for r in random if r.latency / slowest <= x],
                default=0,
            )
            for x in np.linspace(0, 1, 10001)[1:]
        )
        / (10000 * (0.9 - least))
    )
    assert reached["random search"] == pytest.approx(area, abs=1e-3)


def test_the_hypervolume_lies_between_the_best_and_the_worst():
    """Else it says little of accuracy, where all candidates are about as accurate."""
    ones = [one(0, 0.80, 1.0), one(1, 0.84, 3.0), one(2, 0.83, 2.0), one(3, None, 0.1)]
    limits = pictures.Limits.of(ones)
    # From 2 to 3 of 1 to 3 ms: 0.83 of 0.80 to 0.84.
    assert limits.volume(ones) == pytest.approx(0.5 * 0.75)
    assert limits.volume(ones[3:]) == 0


def test_a_candidate_that_has_diverged_is_worse_than_all_others():
    """It is the fastest, so that it would survive otherwise."""
    diverged, sound = one(0, None, 0.1, parameters=9), one(1, 0.0, 9.0)
    assert np.all(
        np.array(exploration.values(SEARCH, diverged))
        < exploration.values(SEARCH, sound)
    )
    search = Search(supernet="any", reward=Reward(target=5.0))
    assert exploration.values(search, diverged) < exploration.values(search, sound)
