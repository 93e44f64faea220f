"""Fronts, crowding and hypervolume: pymoo's, and those of small examples by hand."""

import numpy as np
import pytest

from mobilenets.search import pareto

THREE = np.array([[1.0, 5.0], [2.0, 3.0], [4.0, 1.0], [3.0, 4.0], [5.0, 5.0]])


def test_fronts_are_those_of_a_drawing():
    found = [front.tolist() for front in pareto.fronts(THREE)]
    assert found == [[0, 1, 2], [3], [4]]


def test_equal_points_do_not_dominate_each_other():
    found = pareto.fronts(np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 2.0]]))
    assert [front.tolist() for front in found] == [[0, 1], [2]]


def test_crowding_is_the_sum_of_the_neighbours_distances():
    # The middle one of three: in both objectives its neighbours are the extremes.
    found = pareto.crowding(THREE[:3], np.array([0.5, 0.5]))
    assert found[[0, 2]].tolist() == [np.inf, np.inf]
    assert found[1] == 1.0
    values = np.array([[0.0, 1.0], [0.2, 0.5], [0.5, 0.4], [1.0, 0.0]])
    found = pareto.crowding(values, np.array([0.75, 0.25]))
    assert found[1] == pytest.approx(0.75 * 0.5 + 0.25 * 0.6)
    assert found[2] == pytest.approx(0.75 * 0.8 + 0.25 * 0.5)


def test_the_hypervolume_is_an_area_by_hand():
    # Three steps under (6, 6): (6-1)*(6-5) + (6-2)*(5-3) + (6-4)*(3-1).
    assert pareto.hypervolume(THREE, np.array([6.0, 6.0])) == 5 + 8 + 4
    assert pareto.hypervolume(THREE, np.array([1.0, 6.0])) == 0
    cube = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    # A box of 2 x 2 x 1 and one of 1 x 1 x 2, which share 1 x 1 x 1.
    assert pareto.hypervolume(cube, np.array([2.0, 2.0, 2.0])) == 4 + 2 - 1


def test_the_best_are_the_first_front_however_many_are_compared_at_once():
    values = np.random.default_rng(0).random((100, 3)).round(1)
    first = pareto.fronts(values)[0]
    for at_once in (1, 7, 500):
        assert pareto.best(values, at_once).tolist() == first.tolist()


def test_hypervolumes_grow_as_points_come():
    values = np.random.default_rng(0).random((40, 2))
    reference = np.array([1.0, 1.0])
    expected = [pareto.hypervolume(values[:end], reference) for end in (1, 7, 40)]
    found = pareto.hypervolumes(values, reference, (1, 7, 40))
    assert found == pytest.approx(expected)
    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize("objectives", [2, 3])
def test_all_are_equal_to_pymoos(objectives):
    hv = pytest.importorskip("pymoo.indicators.hv")
    from pymoo.operators.survival.rank_and_crowding.metrics import (
        calc_crowding_distance,
    )
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    values = np.random.default_rng(objectives).random((60, objectives))
    expected = NonDominatedSorting().do(values)
    found = pareto.fronts(values)
    assert [sorted(f.tolist()) for f in expected] == [f.tolist() for f in found]
    front = values[found[0]]
    np.testing.assert_allclose(
        pareto.crowding(front, np.full(objectives, 1 / objectives)),
        calc_crowding_distance(front),
    )
    reference = np.full(objectives, 1.1)
    np.testing.assert_allclose(
        pareto.hypervolume(values, reference), hv.HV(ref_point=reference)(values)
    )
