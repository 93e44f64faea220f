"""Every example of every evaluation set is counted once, on any number of devices."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from mobilenets import UserError
from mobilenets.evaluation.best import BestMetric, best_metric
from mobilenets.evaluation.evaluator import Evaluator
from tests import toy_task

SIZES = {"val": 10, "night": 3, "large": 33}


def mesh_of(devices):
    return jax.make_mesh(
        (devices,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:devices],
    )


def variables_of(value):
    return {"params": {"kernel": np.float32(value)}, "batch_stats": {"unused": 0.0}}


def evaluate(batch_size, devices):
    task = toy_task.ToyTask(toy_task.make_config(batch_size=batch_size), SIZES)
    weights = {"raw": variables_of(1.5), "ema": variables_of(6.0)}
    return Evaluator(task, mesh_of(devices)).evaluate(weights)


@pytest.mark.parametrize("batch_size", [4, 8, 20])
@pytest.mark.parametrize("devices", [1, 4])
def test_every_example_of_every_set_is_counted_once(batch_size, devices):
    results = evaluate(batch_size, devices)
    assert list(results) == list(SIZES)
    for name, size in SIZES.items():
        own = sum(range(1, size + 1)) / size  # 1 to size, each of them once
        assert results[name] == {
            "raw": {"distance": 2.5, "value": 1.5, "own": own, "count": size},
            "ema": {"distance": 2.0, "value": 6.0, "own": own, "count": size},
        }


def test_batches_that_no_set_is_a_multiple_of_fit_one_device():
    assert evaluate(7, 1) == evaluate(4, 4)


def test_the_bar_has_as_many_batches_as_there_are():
    task = toy_task.ToyTask(toy_task.make_config(batch_size=4), SIZES)
    evaluator, done = Evaluator(task, mesh_of(1)), []
    evaluator.evaluate({"raw": variables_of(1)}, lambda: done.append(1))
    assert evaluator.batches == len(done) == 3 + 1 + 9


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("", BestMetric("val", "value", less_is_better=False)),
        ("val/distance", BestMetric("val", "distance", less_is_better=True)),
        ("night/value", BestMetric("night", "value", less_is_better=False)),
    ],
)
def test_the_best_metric_has_its_direction(chosen, expected):
    task = toy_task.ToyTask(toy_task.make_config(best_metric=chosen), SIZES)
    found = best_metric(task)
    assert found == expected
    results = {
        name: {"raw": {}, "ema": {"value": 2.0, "distance": 3.0}} for name in SIZES
    }
    assert found.score(results) == (-3 if expected.less_is_better else 2)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("val/distanse", "'val/distanse': did you mean 'val/distance'"),
        ("distance", "Choose from: large/distance, .*val/distance"),
        ("day/value", "Unknown best_metric 'day/value'"),
    ],
)
def test_an_unknown_best_metric_is_told_with_those_there_are(chosen, message):
    task = toy_task.ToyTask(toy_task.make_config(best_metric=chosen), SIZES)
    with pytest.raises(UserError, match=message):
        best_metric(task)
