"""An interrupted run that resumes ends as one that was never interrupted."""

import contextlib
import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest

from configs import quickstart
from mobilenets import UserError, create_model
from mobilenets.config import check
from mobilenets.errors import BrokenImage
from mobilenets.networks.spec import with_backbone
from mobilenets.runs import workdir
from mobilenets.runs.checkpoint import Checkpoints, abstract_like
from mobilenets.runs.metric_log import read_metrics
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from mobilenets.training.optimizers import make_optimizer
from mobilenets.training.state import create_state
from tests import toy_task
from tests.toy_task import TIMED, as_batches

TOTAL_STEPS = 12


def make_config(**changes):
    """Six steps an epoch; logged every second, evaluated every third."""
    config = quickstart.get_config()
    config.dataset.train_split = "train[:96]"
    config.dataset.eval_split = "validation[:40]"
    config.batch_size = 16
    config.epochs = 2.0
    config.log_every_steps = 2
    config.evaluate_every_epochs = 0.5
    config.update(changes)
    return check.check(config)


def interrupt(task, number, action):
    """Fetching the batch of that number, counted from 1, also does something else."""
    train_batches = task.train_batches

    def interrupted(first_step=0):
        with contextlib.closing(train_batches(first_step)) as batches:
            for i, batch in enumerate(batches, 1):
                if i == number:
                    action()
                yield batch

    task.train_batches = lambda first_step=0: as_batches(interrupted(first_step))


def make_small_task(config, at_batch=0, action=None):
    """The quick start's task with a network cut short, which compiles in seconds."""
    task = make_task(config)
    assert task.spec.dropout_rate > 0
    spec = with_backbone(task.spec, blocks=task.spec.backbone.blocks[:1])
    task.model = create_model(spec, 10).clone(remat=task.model.remat)
    if action:
        interrupt(task, at_batch, action)
    return task


def sigterm():
    os.kill(os.getpid(), signal.SIGTERM)


def crash():
    raise MemoryError


def saved_state(directory, config=None):
    """The latest state and the two batches that would come next."""
    config = config or make_config()
    task = make_small_task(config)
    optimizer = make_optimizer(config.optimizer, lambda step: 0.0)
    abstract = jax.eval_shape(
        lambda: create_state(task.init_variables(jax.random.key(0)), optimizer)
    )
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    checkpoints = Checkpoints(workdir.of_run(directory))
    state = checkpoints.restore(abstract_like(abstract, here))
    batches = task.train_batches(checkpoints.latest_step)
    checkpoints.close()
    return jax.device_get(state), [next(batches), next(batches)]


def kept_steps(directory):
    return {int(path.name) for path in (directory / "checkpoints").glob("[0-9]*")}


def contents(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def assert_same_bits(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted")
    train(make_small_task(make_config()), str(directory))
    return directory


@pytest.fixture(scope="module", params=["SIGTERM", "crash"])
def resumed(request, tmp_path_factory):
    """A run that ended in step 5, between the evaluations of steps 3 and 6."""
    config, directory = make_config(), tmp_path_factory.mktemp("resumed")
    if request.param == "SIGTERM":
        with pytest.raises(SystemExit) as end:
            train(make_small_task(config, 5, sigterm), str(directory))
        assert end.value.code == 143
        assert kept_steps(directory) == {3, 5}
    else:
        with pytest.raises(MemoryError):
            train(make_small_task(config, 5, crash), str(directory))
        assert kept_steps(directory) == {3}
        assert read_metrics(directory / "metrics.jsonl")[-1]["step"] == 4
    train(make_small_task(config), str(directory))
    return directory


def test_the_state_is_the_same_bit_for_bit(uninterrupted, resumed):
    expected, next_batches = saved_state(uninterrupted)
    state, batches = saved_state(resumed)
    assert expected.step == TOTAL_STEPS
    assert_same_bits(state, expected)
    assert_same_bits(batches, next_batches)
    raw, averaged = (expected.variables(ema)["params"] for ema in (False, True))
    assert np.any(raw["logits"]["kernel"] != averaged["logits"]["kernel"])


def test_every_step_is_logged_once_with_the_same_numbers(uninterrupted, resumed):
    def logged(directory, kind):
        records = read_metrics(directory / "metrics.jsonl")
        chosen = [r for r in records if any(k.startswith(kind) for k in r)]
        return [{k: v for k, v in r.items() if k not in TIMED} for r in chosen]

    expected, found = (logged(d, "train/") for d in (uninterrupted, resumed))
    assert [r["step"] for r in expected] == [2, 3, 4, 6, 8, 9, 10, 12]
    # What was logged on the interrupt is the one record more.
    assert {r["step"] for r in found} - {5} == {r["step"] for r in expected}
    assert len(found) == len({r["step"] for r in found})
    assert [r for r in found if r["step"] != 5] == expected
    assert logged(resumed, "val/") == logged(uninterrupted, "val/")
    assert [r["step"] for r in logged(resumed, "val/")] == [3, 6, 9, 12]
    assert {r["val/ema/count"] for r in logged(resumed, "val/")} == {40}


def test_a_finished_run_is_left_as_it_is(uninterrupted, capsys):
    before = contents(uninterrupted)
    train(make_small_task(make_config()), str(uninterrupted))
    assert "Nothing to do" in capsys.readouterr().out
    assert contents(uninterrupted) == before


def test_another_config_is_refused(uninterrupted):
    before = contents(uninterrupted)
    config = make_config(epochs=3.0, ema_decay=0.5)
    with pytest.raises(UserError) as error:
        train(make_small_task(config), str(uninterrupted))
    assert "epochs (2.0 there, 3.0 given)" in str(error.value)
    assert "ema_decay (0.99 there, 0.5 given)" in str(error.value)
    assert "batch_size" not in str(error.value)
    assert contents(uninterrupted) == before


@pytest.mark.slow
def test_a_run_may_go_on_with_the_other_remat(tmp_path):
    # By SGD: a bias in front of another batch norm has the gradient 0 but for rounding,
    # of which RMSProp makes a step as large as any.
    config = make_config(optimizer={"name": "sgd"})
    other = make_config(optimizer={"name": "sgd"}, remat=True)
    assert make_small_task(other).model.remat
    whole, in_two = tmp_path / "whole", tmp_path / "in_two"
    train(make_small_task(config), str(whole))
    with pytest.raises(SystemExit):
        train(make_small_task(other, 5, sigterm), str(in_two))
    train(make_small_task(config), str(in_two))
    expected, _ = saved_state(whole, config)
    state, _ = saved_state(in_two, config)
    assert state.step == TOTAL_STEPS
    for x, y in zip(*map(jax.tree.leaves, (state, expected)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-3)


def test_other_images_are_refused(uninterrupted, tmp_path, monkeypatch):
    config = make_config()
    task = make_small_task(config)
    monkeypatch.setattr(type(task), "train_size", task.train_size + 1)
    shutil.copytree(uninterrupted, tmp_path / "run")
    with pytest.raises(UserError, match="its train_size changed"):
        train(task, str(tmp_path / "run"))


def test_a_loss_that_is_not_a_number_ends_the_run(tmp_path):
    # The warm-up's first rate is 0, so the second update is the one that explodes: its
    # own loss is finite, that of the evaluation after it is not.
    config = make_config(
        optimizer={"learning_rate": 1e30},
        log_every_steps=1,
        evaluate_every_epochs=1 / 6,
    )
    with pytest.raises(UserError, match=r"is nan at step 2: the training diverged"):
        train(make_small_task(config), str(tmp_path))
    assert kept_steps(tmp_path) == {1}
    assert {r["step"] for r in read_metrics(tmp_path / "metrics.jsonl")} == {1, 2}


def test_the_latest_and_the_best_checkpoint_are_kept(tmp_path):
    config = make_config()
    task = make_small_task(config)
    optimizer = make_optimizer(config.optimizer, lambda step: 0.0)
    state = create_state(task.init_variables(jax.random.key(0)), optimizer)
    checkpoints = Checkpoints(workdir.claim(str(tmp_path), config))
    assert checkpoints.latest_step is None and checkpoints.best_step is None
    kept = []
    scores = {1: None, 2: 0.2, 3: 0.9, 4: 0.9, 5: 0.5, 6: None, 7: 0.1}
    for step, score in scores.items():
        checkpoints.save(step, state, {}, score)
        checkpoints.wait()
        kept.append((kept_steps(tmp_path), checkpoints.best_step))
    checkpoints.close()
    assert kept == [
        ({1}, None),
        ({2}, 2),
        ({3}, 3),
        ({4}, 4),
        ({4, 5}, 4),
        ({4, 6}, 4),
        ({4, 7}, 4),
    ]


def test_a_half_written_last_line_of_the_metrics_is_dropped(uninterrupted, tmp_path):
    path = tmp_path / "metrics.jsonl"
    shutil.copy(uninterrupted / "metrics.jsonl", path)
    records = read_metrics(path)
    with path.open("a") as file:
        file.write(json.dumps(records[-1])[:-9])
    assert read_metrics(path) == records


# The toy task has no network, and its parameter is 6 after as many steps of 1.


def toy(**changes):
    return toy_task.ToyTask(toy_task.make_config(**changes))


def test_a_wish_to_stop_in_the_last_step_is_not_lost(tmp_path, capsys):
    task = toy()
    interrupt(task, 6, sigterm)
    with pytest.raises(SystemExit) as end:
        train(task, str(tmp_path))
    assert end.value.code == 143  # a loop over runs, of a shell or a sweep, ends there
    assert "Finished 6 steps" in capsys.readouterr().out
    assert train(toy(), str(tmp_path))["val"]["raw"]["value"] == 6.0
    assert "Nothing to do" in capsys.readouterr().out


def test_what_an_evaluation_is_followed_by_may_end_the_run(tmp_path):
    told = []

    def after_evaluation(step, results):
        told.append((step, results["val"]["ema"]["value"]))
        if told[-1][0] == 3 and len(told) == 3:
            raise MemoryError

    with pytest.raises(MemoryError):
        train(toy(), str(tmp_path), after_evaluation)
    train(toy(), str(tmp_path), after_evaluation)
    records = read_metrics(tmp_path / "metrics.jsonl")
    logged = [(r["step"], r["val/ema/value"]) for r in records if "val/ema/value" in r]
    assert told == logged == [(step, float(step)) for step in range(1, 7)]


def test_an_image_that_breaks_an_evaluation_costs_no_training(tmp_path):
    task = toy(evaluate_every_epochs=3.0)

    def broken(name):
        raise BrokenImage("Cannot decode the image bad.jpg: it is cut off.")

    task.eval_batches = broken
    with pytest.raises(UserError, match=r"Cannot decode the image bad\.jpg"):
        train(task, str(tmp_path))
    assert kept_steps(tmp_path) == {3}  # where the first evaluation was due
    results = train(toy(evaluate_every_epochs=3.0), str(tmp_path))
    assert results["val"]["raw"]["value"] == 6.0
