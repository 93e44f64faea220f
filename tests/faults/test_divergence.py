"""What diverges is said by its cause, and single bad steps may be skipped."""

import contextlib

import grain
import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.runs.metric_log import read_metrics
from mobilenets.training.loop import train
from tests import toy_task


class Gradients(toy_task.ToyTask):
    """Whose gradient in each step is minus the given number.

    Args:
      numbers: for the steps from 1 on.
      changes: of the config.
    """

    def __init__(self, numbers, **changes):
        super().__init__(toy_task.make_config(**changes))
        self._numbers = numbers

    def train_batches(self, first_step=0):
        batches = [{"x": np.full(8, n, np.float32)} for n in self._numbers[first_step:]]
        made = grain.MapDataset.source(batches).to_iter_dataset()
        return toy_task.as_batches(iter(made))


def skipping(most, numbers):
    sgd = {"name": "sgd", "learning_rate": 1.0, "momentum": 0.9}
    return Gradients(
        numbers,
        optimizer=sgd | {"max_nonfinite_steps": most},
        ema_decay=0.5,
        log_every_steps=1,
    )


def values(folder):
    records = read_metrics(folder / "metrics.jsonl")
    return [
        (r["val/raw/value"], r["val/ema/value"])
        for r in records
        if "val/raw/value" in r
    ]


NAN, INF = float("nan"), float("inf")
GOOD = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


def test_inputs_that_are_not_finite_are_no_matter_of_the_learning_rate(tmp_path):
    with pytest.raises(UserError, match=r"step 1: the inputs .* preprocessing\.std"):
        train(Gradients([NAN] * 6), str(tmp_path))


def test_a_training_that_diverges_is_one(tmp_path):
    task = Gradients([1.0, 1e38, 1e38, 1e38, 1e38, 1e38], log_every_steps=1)
    with pytest.raises(UserError, match=r"diverged\. Lower optimizer\.learning_rate"):
        train(task, str(tmp_path))


def test_a_skipped_step_changes_neither_weights_nor_averages(tmp_path):
    train(skipping(2, [1.0, NAN, 2.0, INF, NAN, 4.0]), str(tmp_path))
    # By hand: momentum 0.9, and averages with decays (1 + step) / (10 + step).
    value, average, momentum, expected = 0.0, 0.0, 0.0, []
    for step, number in enumerate([1.0, NAN, 2.0, INF, NAN, 4.0]):
        if np.isfinite(number):
            momentum = 0.9 * momentum + number
            value += momentum
            decay = min(0.5, (1 + step) / (10 + step))
            average = value + decay * (average - value)
        expected.append((value, average))
    assert np.allclose(values(tmp_path), expected, rtol=1e-6)
    records = read_metrics(tmp_path / "metrics.jsonl")
    counts = [r["train/skipped_steps"] for r in records if "train/skipped_steps" in r]
    assert counts == [0, 1, 1, 2, 3, 3]


def test_one_step_too_many_ends_the_training(tmp_path):
    with pytest.raises(UserError, match=r"at step 4: the inputs"):
        train(skipping(2, [1.0, NAN, NAN, NAN, 2.0, 4.0]), str(tmp_path))


def test_skipped_steps_are_counted_on_when_the_run_is_resumed(tmp_path):
    numbers = [1.0, NAN, 2.0, NAN, 4.0, 8.0]

    def stop(step, results):
        if step == 3:
            raise MemoryError

    train(skipping(2, numbers), str(tmp_path / "whole"))
    with contextlib.suppress(MemoryError):
        train(skipping(2, numbers), str(tmp_path / "in_two"), stop)
    train(skipping(2, numbers), str(tmp_path / "in_two"))
    assert values(tmp_path / "in_two") == values(tmp_path / "whole")
    *_, last, _ = read_metrics(tmp_path / "in_two/metrics.jsonl")
    assert last["train/skipped_steps"] == 2
