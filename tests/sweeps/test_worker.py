"""What a worker makes of a training, with trainings that are made up."""

import json
import os
import pathlib

import pytest

from mobilenets import UserError
from mobilenets.profiling import latency
from mobilenets.profiling.latency import Latency
from mobilenets.sweeps import queue, results, worker
from mobilenets.sweeps.definition import Choices, Range, Sweep
from mobilenets.sweeps.results import Outcome, Reader
from mobilenets.workers import ending

WIDTHS = Choices(values=(0.25, 0.5, 0.75, 1.0, 1.25, 1.5))


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Runs a worker; `accuracy(width, evaluation)` is what its trainings reach.

    Each has three evaluations. Returns the folder.
    """
    monkeypatch.setattr(worker.start_up, "prepare_jax", lambda: None)
    monkeypatch.setattr(ending, "by_signals", lambda: None)

    def work(accuracy, **changes):
        values = {
            "config": "configs/quickstart.py",
            "parameters": {"model.width_multiplier": WIDTHS},
        }
        files = results.claim(str(tmp_path / "sweep"), Sweep(**(values | changes)))

        def train(task, directory, after_evaluation):
            config = task.config
            total = config.total_steps(task.train_size)
            for i, step in enumerate((10, 20, total)):
                top1 = accuracy(config.model["width_multiplier"], i)
                with (pathlib.Path(directory) / "metrics.jsonl").open("a") as file:
                    file.write(json.dumps({"step": step, "val/ema/top1": top1}) + "\n")
                after_evaluation(step, {"val": {"ema": {"top1": top1}}})

        monkeypatch.setattr(worker.loop, "train", train)
        worker.main(str(files.path), files.storage_url, os.getppid())
        return files

    return work


def test_the_value_of_a_trial_is_the_last_accuracy(work):
    files = work(lambda width, i: width / 2 + i / 100)
    assert [r.accuracy for r in Reader(files).results()] == [
        width / 2 + 0.02 for width in WIDTHS.values
    ]
    study = queue.open_study(files, files.storage_url)
    assert study.best_value == 1.5 / 2 + 0.02


def test_a_training_below_the_median_is_ended_and_said_to_be(work):
    # The last one falls behind at its second evaluation.
    files = work(lambda width, i: 0.1 if width == 1.5 else 0.5 + i / 10, prune=True)
    *others, poor = Reader(files).results()
    assert [r.state for r in others] == ["finished"] * 5
    assert poor.state == "pruned" and len(poor.records) == 1


def test_a_training_that_is_done_is_not_pruned(work):
    files = work(
        lambda width, i: 0.1 if (width, i) == (1.5, 2) else 0.5 + i / 10, prune=True
    )
    assert [r.state for r in Reader(files).results()] == ["finished"] * 6


def test_a_training_that_fails_says_why(work):
    def accuracy(width, i):
        if width == 0.5 and i == 1:
            raise UserError("The loss is nan at step 15: the training diverged.")
        return 0.5

    files = work(accuracy)
    states = [r.state for r in Reader(files).results()]
    assert states == ["finished", "failed", *["finished"] * 4]
    assert "nan at step 15" in Reader(files).results()[1].error


def test_a_point_with_an_outcome_is_not_trained_again(work, tmp_path):
    trained = []
    files = work(lambda width, i: trained.append(width) or 0.5)
    assert len(trained) == 18
    # Another storage knows of nothing; the folder does.
    worker.main(str(files.path), f"sqlite:///{tmp_path}/other.db", os.getppid())
    assert len(trained) == 18


def test_a_signal_that_python_swallowed_ends_the_worker_all_the_same(
    work, monkeypatch, tmp_path
):
    stops = []
    monkeypatch.setattr(ending, "_stops", stops)

    def accuracy(width, i):
        if (width, i) == (0.5, 1):
            stops.append(2)
        return 0.5

    with pytest.raises(SystemExit) as end:
        work(accuracy)
    assert end.value.code == 130
    found = Reader(results.open_folder(str(tmp_path / "sweep"))).results()
    assert [r.state for r in found[:3]] == ["finished", "unfinished", "waiting"]
    assert len(found[1].records) == 2


def test_a_worker_ends_when_the_command_that_started_it_is_gone(
    work, monkeypatch, tmp_path
):
    def accuracy(width, i):
        if (width, i) == (0.5, 1):
            monkeypatch.setattr(ending.os, "getppid", lambda: 1)
        return 0.5

    with pytest.raises(
        SystemExit, match="the command that started this worker is gone"
    ):
        work(accuracy)
    found = Reader(results.open_folder(str(tmp_path / "sweep"))).results()
    assert [r.state for r in found[:3]] == ["finished", "unfinished", "waiting"]


def test_an_illegal_point_of_a_search_has_failed(work):
    files = work(
        lambda width, i: 0.5,
        parameters={
            "model.resolution": Range(low=1, high=40),
            "model.width_multiplier": Choices(values=(0.5,)),
        },
        search="random",
        trials=8,
    )
    found = Reader(files).results()
    small = [r for r in found if r.values["model.resolution"] < 16]
    assert 0 < len(small) < 8
    assert all(r.state == "failed" and "too small" in r.error for r in small)
    assert all(r.state == "finished" for r in found if r not in small)


def test_latency_is_measured_where_it_is_looked_for(work, monkeypatch):
    def measure(nets):
        (net,) = nets.values()
        return {"": Latency((net.spec.backbone.blocks[-1].out_channels / 1000,))}

    monkeypatch.setattr(latency, "measure", measure)
    files = work(lambda width, i: 0.5, objectives=("accuracy", "latency"))
    study = queue.open_study(files, files.storage_url)
    # MobileNetV3-Small ends in 96 channels.
    measured = {trial.user_attrs["point"]: trial.values[1] for trial in study.trials}
    assert measured[3] == 0.096 and measured[1] == 0.048
    assert files.outcome(3) == Outcome(state="finished", latency=0.096)


def test_a_config_file_that_changes_meanwhile_ends_the_worker(work, tmp_path):
    config = tmp_path / "config.py"
    text = "from configs import quickstart\ndef get_config():\n"
    text += "    config = quickstart.get_config()\n    config.epochs = {}\n"
    config.write_text(text.format("1.0") + "    return config\n")

    def accuracy(width, i):
        config.write_text(text.format("2.0") + "    return config\n")
        return 0.5

    with pytest.raises(SystemExit, match="has changed since"):
        work(accuracy, config=str(config))
    files = results.open_folder(str(tmp_path / "sweep"))
    assert Reader(files).results()[0].state == "finished"
    assert files.outcome(1) is None
