"""Seeds are put together as by hand, and a front holds what nothing beats."""

import random

import pytest

from mobilenets.sweeps.report.entries import (
    aspects,
    front,
    group,
    measure,
    pareto_front,
)
from tests.sweeps.made_up import result


def beats(a, b):
    """Whether a point (cost, worth) is nowhere worse than another, and once better."""
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@pytest.mark.parametrize("seed", range(20))
def test_what_is_on_the_front_is_what_no_other_point_beats(seed):
    draw = random.Random(seed)
    # Few different numbers, so that there are ties in one and in both.
    points = [(draw.randint(1, 8), draw.randint(1, 8)) for _ in range(30)]
    on_front = pareto_front(points)
    assert sorted(on_front) == [
        i for i, point in enumerate(points) if not any(beats(p, point) for p in points)
    ]
    costs = [points[i][0] for i in on_front]
    assert costs == sorted(costs)


def test_points_equal_in_both_are_on_the_front_together():
    assert pareto_front([(2, 0.5), (1, 0.4), (2, 0.5)]) == [1, 0, 2]


def test_a_front_of_nothing_is_empty():
    assert pareto_front([]) == []


def test_points_that_differ_only_in_the_seed_are_one_entry():
    results = [
        result(i, accuracy, values={"seed": seed, "model.width_multiplier": width})
        for i, (width, seed, accuracy) in enumerate(
            [(0.5, 0, 0.70), (0.5, 1, 0.74), (1.0, 0, 0.80), (0.5, 2, 0.75)]
        )
    ]
    thin, wide = group(results, {1: 0.003, 3: 0.001})
    assert [r.number for r in thin.results] == [0, 1, 3]
    assert thin.values == {"model.width_multiplier": 0.5}
    assert thin.accuracy == pytest.approx(0.73)  # (0.70 + 0.74 + 0.75) / 3
    assert thin.accuracies == [0.70, 0.74, 0.75]
    assert thin.latency == pytest.approx(0.002)  # the median of the two measured
    assert (wide.accuracy, wide.latency) == (0.80, None)


def test_values_of_different_types_are_different_entries():
    values = [1, 1.0, True, "1", [1]]
    results = [result(i, values={"key": value}) for i, value in enumerate(values)]
    assert len(group(results, {})) == len(values)


def test_the_accuracy_is_that_of_the_seeds_which_got_furthest():
    states = ["pruned", "finished", "failed", "finished", "waiting"]
    accuracies = [0.2, 0.6, 0.1, 0.8, None]
    results = [
        result(i, accuracy, state=state, values={"seed": i})
        for i, (state, accuracy) in enumerate(zip(states, accuracies, strict=True))
    ]
    (entry,) = group(results, {})
    assert entry.state == "finished"
    assert entry.accuracies == [0.6, 0.8]


def test_a_failed_point_has_no_accuracy_even_if_it_was_evaluated():
    (entry,) = group([result(0, 0.5, state="failed")], {})
    assert entry.accuracy is None


@pytest.mark.parametrize("state", ["pruned", "unfinished"])
def test_what_was_not_trained_to_its_end_is_not_on_the_front(state):
    results = [
        result(0, 0.9, state=state, madds=1_000),
        result(1, 0.7, madds=2_000),
        result(2, 0.6, madds=3_000),
    ]
    assert [e.number for e in front(group(results, {}), "madds")] == [1]


def test_each_cost_has_a_front_of_its_own():
    results = [
        result(0, 0.7, madds=1_000, parameters=9),
        result(1, 0.8, madds=2_000, parameters=5),
        result(2, 0.6, madds=3_000, parameters=1),
    ]
    entries = group(results, {0: 0.1, 2: 0.2})

    def on_front(cost):
        return [entry.number for entry in front(entries, cost)]

    assert on_front("madds") == [0, 1]
    assert on_front("parameters") == [2, 1]
    assert on_front("latency") == [0]  # 1 was not measured, 2 is beaten


def test_aspects_are_what_varies_and_the_network_is_told_once():
    results = [
        result(
            i,
            network=network,
            values={"model.name": network, "model.width": width, "epochs": 3.0},
        )
        for i, (network, width) in enumerate([("a", 0.5), ("b", 1.0), ("a", 1.0)])
    ]
    assert aspects(group(results, {})) == {
        "network": ["a", "b", "a"],
        "width": [0.5, 1.0, 1.0],
    }


def test_a_value_that_only_some_points_set_is_none_elsewhere():
    results = [result(0, values={"a": 1}), result(1, values={"a": 1, "b": 2})]
    assert aspects(group(results, {})) == {"b": [None, 2]}


def test_the_accuracy_of_a_detector_is_called_ap():
    waiting = result(1, None, headline="", state="waiting")
    detectors = group([waiting, result(2, headline="val/ema/AP")], {})
    assert measure(detectors) == "AP"
    assert measure(group([result(1), result(2)], {})) == "accuracy"
    assert measure([]) == "accuracy"
