"""Runs that end before their last epoch, and runs that are trained on afterwards.

The toy task's parameter grows by the learning rate in every step, so that all of its
numbers can be worked out by hand; a network shows that a resumed run has the same bits.
"""

import json
import math
import shutil

import pytest

from mobilenets import UserError
from mobilenets.runs import workdir
from mobilenets.runs.metric_log import read_metrics
from mobilenets.training.loop import train
from tests import toy_task
from tests.training.test_resume import (
    assert_same_bits,
    interrupt,
    make_config,
    make_small_task,
    saved_state,
    sigterm,
)


def make_task(**changes):
    return toy_task.ToyTask(toy_task.make_config(**changes))


def values(directory):
    """The parameter after every evaluated step."""
    records = read_metrics(directory / "metrics.jsonl")
    return {r["step"]: r["val/ema/value"] for r in records if "val/ema/value" in r}


def stop_after(step):
    def after_evaluation(at, results):
        if at == step:
            raise MemoryError

    return after_evaluation


# Early stopping: the distances are 3, 2, 1, 0, 1, 2, 3, ...

EARLY = {
    "epochs": 9.0,
    "best_metric": "val/distance",
    "early_stopping_evaluations": 2,
}


@pytest.mark.parametrize(("patience", "last"), [(2, 6), (5, 9), (0, 9)])
def test_a_run_ends_when_it_has_not_improved_for_long(tmp_path, capsys, patience, last):
    config = EARLY | {"early_stopping_evaluations": patience}
    train(make_task(**config), str(tmp_path))
    assert list(values(tmp_path)) == list(range(1, last + 1))
    printed = capsys.readouterr().out
    assert ("Stopped early at step 6 of 9" if last < 9 else "Finished 9") in printed
    assert (tmp_path / "training_curves.png").exists()
    assert {p.name for p in (tmp_path / "checkpoints").glob("[0-9]*")} == {
        "4",
        str(last),
    }
    train(make_task(**config), str(tmp_path))
    assert "Nothing to do" in capsys.readouterr().out
    assert list(values(tmp_path)) == list(range(1, last + 1))


@pytest.mark.usefixtures("four_devices")
def test_a_run_says_what_it_trains_before_it_compiles(tmp_path, capsys):
    task = make_task()
    announced = "Training a number on 8 examples, batches of 8, on 4 CPU devices.\n"
    told = []

    def init_variables(rng):
        told.append(capsys.readouterr().out)
        return type(task).init_variables(task, rng)

    task.init_variables = init_variables
    with pytest.raises(MemoryError):
        train(task, str(tmp_path), stop_after(2))
    assert told[0] == announced
    capsys.readouterr()
    train(make_task(), str(tmp_path))
    assert capsys.readouterr().out.startswith(f"{announced}Resuming at step 2 of")
    train(make_task(), str(tmp_path))
    assert "Training" not in capsys.readouterr().out  # there is nothing to do


@pytest.mark.parametrize("step", [4, 5])
def test_a_resumed_run_remembers_how_long_it_has_not_improved(tmp_path, step):
    with pytest.raises(MemoryError):
        train(make_task(**EARLY), str(tmp_path), stop_after(step))
    train(make_task(**EARLY), str(tmp_path))
    assert list(values(tmp_path)) == [1, 2, 3, 4, 5, 6]


# Warm restarts.

FIRST = {"epochs": 4.0, "schedule": {"name": "cosine"}}
AGAIN = {
    "epochs": 10.0,
    "schedule": {"name": "cosine", "warmup_epochs": 2.0},
    "optimizer": {"name": "sgd", "learning_rate": 0.5, "momentum": 0.0},
}


def cosine(peak, steps):
    return [peak * (1 + math.cos(math.pi * i / steps)) / 2 for i in range(steps)]


# Worked by hand: four steps from 1 to 0; then two of warm-up and four from 0.5 to 0.
FIRST_RATES = cosine(1.0, 4)
ALL_RATES = [*FIRST_RATES, 0.0, 0.25, *cosine(0.5, 4)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("finished")
    train(make_task(**FIRST), str(directory))
    return directory


def copied(directory, tmp_path):
    return shutil.copytree(directory, tmp_path / "run")


def test_the_schedule_begins_anew_at_the_last_checkpoint(finished, tmp_path, capsys):
    run = copied(finished, tmp_path)
    assert values(run)[4] == pytest.approx(sum(FIRST_RATES))
    train(make_task(**AGAIN), str(run), warm_restart=True)
    expected = {i + 1: sum(ALL_RATES[: i + 1]) for i in range(10)}
    assert values(run) == pytest.approx(expected)
    assert "Warm restart at step 4: epochs 4.0 → 10.0" in capsys.readouterr().out
    (restart,) = json.loads((run / "history.json").read_text())
    assert restart["step"] == 4
    assert restart["changes"] == {
        "epochs": [4.0, 10.0],
        "optimizer.learning_rate": [1.0, 0.5],
        "schedule.warmup_epochs": [0.0, 2.0],
    }
    assert workdir.read_config(workdir.of_run(str(run))) == make_task(**AGAIN).config


def test_a_run_is_resumed_after_its_restart_without_the_flag(finished, tmp_path):
    run = copied(finished, tmp_path)
    with pytest.raises(MemoryError):
        train(make_task(**AGAIN), str(run), stop_after(7), warm_restart=True)
    train(make_task(**AGAIN), str(run))
    assert values(run)[10] == pytest.approx(sum(ALL_RATES))


def test_a_restart_that_came_to_no_checkpoint_is_recorded_once(finished, tmp_path):
    run = copied(finished, tmp_path)
    for rate in (0.3, 0.5):
        changes = AGAIN | {"optimizer": AGAIN["optimizer"] | {"learning_rate": rate}}
        task = make_task(**changes)
        interrupt(task, 1, sigterm if rate == 0.5 else crash)
        with pytest.raises((SystemExit, MemoryError)):
            train(task, str(run), warm_restart=True)
    (restart,) = json.loads((run / "history.json").read_text())
    assert restart["changes"]["optimizer.learning_rate"] == [1.0, 0.5]
    assert restart["changes"]["epochs"] == [4.0, 10.0]


def test_a_restart_that_came_to_no_checkpoint_is_resumed(finished, tmp_path):
    # The checkpoint is still that of the finished run.
    run = copied(finished, tmp_path)
    task = make_task(**AGAIN)
    interrupt(task, 1, crash)
    with pytest.raises(MemoryError):
        train(task, str(run), warm_restart=True)
    train(make_task(**AGAIN), str(run))
    assert values(run)[10] == pytest.approx(sum(ALL_RATES))


def crash():
    raise MemoryError


def test_patience_counts_from_the_restart(tmp_path):
    # The distance is 0 after step 4, then 1, 2, 3: the first of those is the best.
    train(make_task(**EARLY | {"epochs": 4.0}), str(tmp_path))
    train(make_task(**EARLY), str(tmp_path), warm_restart=True)
    assert list(values(tmp_path))[-1] == 7


def test_without_the_flag_other_values_are_refused(finished):
    before = (finished / "config.json").read_bytes()
    with pytest.raises(
        UserError, match=r"epochs \(4\.0 there, 10\.0 given\).*, or --wa"
    ):
        train(make_task(**AGAIN), str(finished))
    assert (finished / "config.json").read_bytes() == before
    assert not (finished / "history.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (AGAIN | {"batch_size": 4}, r"batch_size \(8 there, 4 given\).*own config\.$"),
        (AGAIN | {"optimizer": {"name": "adamw"}}, r"optimizer.name \('sgd' there"),
        (FIRST, "has nothing to train: the run is at step 4, and epochs=4.0 are 4 st"),
    ],
)
def test_a_restart_has_its_bounds(finished, changes, message):
    before = (finished / "config.json").read_bytes()
    with pytest.raises(UserError, match=message):
        train(make_task(**changes), str(finished), warm_restart=True)
    assert (finished / "config.json").read_bytes() == before
    assert not (finished / "history.json").exists()


def test_a_run_without_a_checkpoint_is_not_restarted(tmp_path):
    with pytest.raises(UserError, match="needs a checkpoint, but the run has none"):
        train(make_task(), str(tmp_path), warm_restart=True)
    # And a warm restart is not suggested for it.
    train(make_task(**FIRST), str(tmp_path))
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(
        UserError, match=r"another --workdir, or the run's own config.$"
    ):
        train(make_task(**AGAIN), str(tmp_path))


def test_a_restart_needs_no_config_where_there_is_a_checkpoint(finished, tmp_path):
    """The message for a damaged one says to delete it."""
    run = copied(finished, tmp_path)
    (run / "config.json").unlink()
    train(make_task(**AGAIN), str(run), warm_restart=True)
    assert max(values(run)) == 10


# With a network.


@pytest.mark.slow
def test_a_restarted_run_that_is_interrupted_has_the_same_bits(tmp_path):
    first = make_config(
        epochs=0.5,
        optimizer={"learning_rate": 0.01, "clip_norm": 0.5},
        task={"balanced": True},
        early_stopping_evaluations=3,
    )
    values = first.model_dump() | {"epochs": 1.5}
    again = type(first).model_validate(values)
    whole, in_two = tmp_path / "whole", tmp_path / "in_two"
    train(make_small_task(first), str(whole))
    shutil.copytree(whole, in_two)
    train(make_small_task(again), str(whole), warm_restart=True)
    with pytest.raises(SystemExit):
        train(make_small_task(again, 2, sigterm), str(in_two), warm_restart=True)
    train(make_small_task(again), str(in_two))
    assert saved_state(whole, again)[0].step == 9
    assert_same_bits(saved_state(in_two, again), saved_state(whole, again))


# What may change without a restart, since the result stays the same.


@pytest.mark.slow
def test_what_changes_no_result_may_differ_when_a_run_is_resumed(tmp_path):
    whole, in_two = tmp_path / "whole", tmp_path / "in_two"
    train(make_small_task(make_config(epochs=1.0)), str(whole))
    with pytest.raises(SystemExit):
        train(make_small_task(make_config(epochs=1.0), 4, sigterm), str(in_two))
    other = make_config(epochs=1.0, log_every_steps=1, evaluate_every_epochs=1.0)
    dataset = other.dataset.model_copy(update={"num_workers": 2, "data_dir": "/x"})
    other = other.model_copy(update={"dataset": dataset})
    train(make_small_task(other), str(in_two))
    expected, _ = saved_state(whole, make_config(epochs=1.0))
    state, _ = saved_state(in_two, other)
    assert_same_bits(state, expected)
    logged = [r["step"] for r in read_metrics(in_two / "metrics.jsonl")]
    assert logged == [2, 3, 3, 4, 5, 6, 6]
    assert workdir.read_config(workdir.of_run(str(in_two))) == other
