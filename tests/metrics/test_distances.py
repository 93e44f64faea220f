"""Distances of predictions, worked by hand."""

import math

import numpy as np
import pytest

from mobilenets.geography.sphere import RADIUS_KM
from mobilenets.metrics.distances import Distances, rows

DEGREE = math.pi * RADIUS_KM / 180  # along a meridian: 111.2 km

PLACES = ((0.0, 0.0), (10.0, 180.0), (90.0, 0.0))


def total_of(metric, examples):
    """Of examples: the predicted cell, the true one, the true place, and the mask."""
    total = metric.empty()
    for first in range(0, len(examples), 3):  # batches of three
        part = examples[first : first + 3]
        batch = {
            "index": np.arange(first, first + len(part), dtype=np.int32),
            "label": np.array([row[1] for row in part], np.int32),
            "place": np.array([row[2] for row in part], np.float32),
            "mask": np.array([row[3] for row in part], np.float32),
        }
        logits = np.eye(3, dtype=np.float32)[[row[0] for row in part]]
        total = metric.merge(total, metric.update((logits, {}), batch))
    return total


EXAMPLES = [
    (0, 0, (0.005, 0.0), 1),  # half a kilometre
    (0, 0, (0.0, 0.1), 1),  # 11 km
    (0, 1, (1.0, 0.0), 1),  # 111 km, and the wrong cell
    (1, -1, (10.0, -179.0), 1),  # 110 km, over the date line; in no cell
    (2, 2, (85.0, -77.0), 1),  # 556 km from the pole
    (2, 0, (60.0, 10.0), 1),  # 3336 km
    (0, -1, (0.0, 0.0), 0),  # fills the batch
]


def test_the_parts_worked_by_hand():
    metric = Distances(PLACES)
    found = metric.compute(total_of(metric, EXAMPLES))
    assert found == {
        "within_2500_km": pytest.approx(5 / 6),
        "within_750_km": pytest.approx(5 / 6),
        "within_200_km": pytest.approx(4 / 6),
        "within_25_km": pytest.approx(2 / 6),
        "within_1_km": pytest.approx(1 / 6),
        "cell_accuracy": pytest.approx(3 / 6),
        "in_a_cell": pytest.approx(5 / 6),
        "count": 6,
    }
    assert tuple(found) == metric.names


def test_the_rows_have_distances_and_true_places():
    metric = Distances(PLACES)
    total = rows(total_of(metric, EXAMPLES))
    expected = [0.005, 0.1, 1, math.cos(math.radians(10)), 5, 30]
    np.testing.assert_allclose(
        total["distance_km"], np.array(expected) * DEGREE, rtol=1e-3
    )
    np.testing.assert_array_equal(total["index"], np.arange(6))
    np.testing.assert_allclose(total["longitude"], [0, 0.1, 0, -179, -77, 10])


def test_of_each_cell_which_part_is_found():
    metric = Distances(PLACES)
    cells = metric.by_cell(total_of(metric, EXAMPLES))
    assert [row["images"] for row in cells] == [3, 1, 1]
    assert [row["accuracy"] for row in cells] == pytest.approx([2 / 3, 0, 1])
    assert math.isnan(metric.by_cell(metric.empty())[0]["accuracy"])
