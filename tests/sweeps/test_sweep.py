"""Whole sweeps: stopped, killed, and failing workers; and what is not a classifier."""

import contextlib
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import optuna
import pytest

from mobilenets.sweeps import command, definition, results, worker
from mobilenets.workers import ending
from tests import small_model, worker_processes
from tests.sweeps import postgresql
from tests.toy_task import TIMED

pytestmark = pytest.mark.slow  # real workers, each with a start of its own

ROOT = pathlib.Path(__file__).parents[2]
POINTS = 2
STEPS = 60

# Two seeds.
VALUES = small_model.VALUES | {"epochs": 15.0, "evaluate_every_epochs": 3.0}
SWEEP = f"""
from mobilenets.sweeps.definition import Choices, Sweep

def get_sweep(arg="0,1"):
    return Sweep(
        config="configs/quickstart.py:smoke",
        values={VALUES},
        parameters={{"seed": Choices(values=tuple(map(int, arg.split(","))))}},
    )
"""


@pytest.fixture(scope="module", autouse=True)
def _in_the_root():
    """Where workers find the packages, and all find the config."""
    with contextlib.chdir(ROOT):
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "sweep.py"
    path.write_text(SWEEP)
    return str(path)


def start(file, folder, *options):
    """The command as a process, to be stopped or to have workers killed."""
    words = [sys.executable, "-m", "mobilenets", "sweep", "--config", file]
    return subprocess.Popen(
        [*words, "--workdir", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    """What it prints until it ends, and its exit code."""
    printed, _ = process.communicate(timeout=400)
    return printed, process.returncode


def found(folder):
    return results.Reader(results.open_folder(str(folder))).results()


def logged(result):
    """What a training has logged, but for its speed."""
    return [
        {key: value for key, value in record.items() if key not in TIMED}
        for record in result.records
    ]


def workers_of(folder):
    """The process numbers of a sweep's workers."""
    return worker_processes.of_folder("mobilenets.sweeps.worker", folder)


def worker_at_a_checkpoint(folder):
    """Waits for a training that has saved one and goes on; its process."""
    return worker_processes.wait_until(lambda: _at_a_checkpoint(folder))


def _at_a_checkpoint(folder):
    for number in workers_of(folder):
        for point in (folder / "points").glob("*"):
            saved = any(p.name.isdigit() for p in (point / "checkpoints").glob("*"))
            if saved and worker_processes.holds(number, point / ".lock"):
                return number
    return None


@pytest.fixture(scope="module")
def undisturbed(file, tmp_path_factory):
    """The results of one worker that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed") / "sweep"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        command.run(definition.load(file), str(folder), workers=1, storage=None)
    printed = out.getvalue()
    assert re.findall(r"^point (\d).*: finished", printed, re.MULTILINE) == list("01")
    assert f"All {POINTS} points are done: mobilenets report {folder}" in printed
    return found(folder)


def test_every_point_is_trained_as_train_py_does(undisturbed):
    assert [result.values["seed"] for result in undisturbed] == [0, 1]
    assert all(result.state == "finished" for result in undisturbed)
    assert len({json.dumps(logged(result)) for result in undisturbed}) == POINTS
    result = undisturbed[1]
    assert result.total_steps == result.records[-1]["step"] == STEPS
    assert result.accuracy == result.records[-1]["val/ema/top1"]
    words = result.command.replace("python", sys.executable, 1)
    subprocess.run(words, shell=True, check=True, capture_output=True)
    folder = result.workdir.parents[1] / "by_itself" / result.workdir.name
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    by_itself = [json.loads(line) for line in lines]
    assert [r.get("train/loss") for r in by_itself] == [
        r.get("train/loss") for r in result.records
    ]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_killed_worker_s_point_is_taken_up_by_the_other(
    file, undisturbed, tmp_path, database
):
    if database == "sqlite":
        kill_one_of_two(file, undisturbed, tmp_path / "sweep", None)
    else:
        with postgresql.server() as url:
            kill_one_of_two(file, undisturbed, tmp_path / "sweep", url)


def kill_one_of_two(file, undisturbed, folder, url):
    process = start(
        file, folder, "--workers", "2", *(["--storage", url] if url else [])
    )
    os.kill(worker_at_a_checkpoint(folder), signal.SIGKILL)
    printed, code = finish(process)
    assert code == 0, printed
    disturbed = found(folder)
    assert list(map(logged, disturbed)) == list(map(logged, undisturbed))
    # Every point is done once, in the storage too.
    files = results.open_folder(str(folder))
    study = optuna.load_study(study_name=files.name, storage=url or files.storage_url)
    complete = [
        trial.user_attrs["point"]
        for trial in study.trials
        if trial.state is optuna.trial.TrialState.COMPLETE
    ]
    assert sorted(complete) == list(range(POINTS))
    values = {t.user_attrs["point"]: t.value for t in study.get_trials() if t.values}
    assert values == {result.number: result.accuracy for result in undisturbed}
    # It went on from a checkpoint, and was not begun again.
    logs = "".join(path.read_text() for path in files.workers.iterdir())
    assert re.search(rf"Resuming at step \d+ of {STEPS}", logs)


def test_ctrl_c_saves_and_the_same_command_goes_on(file, undisturbed, tmp_path, run):
    folder = tmp_path / "sweep"
    process = start(file, folder)
    worker_at_a_checkpoint(folder)
    process.send_signal(signal.SIGINT)
    printed, code = finish(process)
    assert code == 130, printed
    left = re.search(r"Stopped and saved; (\d) points are left", printed)
    assert left and 1 <= int(left[1]) <= POINTS
    assert not workers_of(folder)
    for _ in range(2):  # to the end, and where nothing is left
        result = run("sweep", "--config", file, "--workdir", folder)
        assert result.exit_code == 0, result.stderr
        assert f"All {POINTS} points are done" in result.stdout
    assert list(map(logged, found(folder))) == list(map(logged, undisturbed))


def test_another_sweep_is_refused_in_the_folder(file, undisturbed, run):
    folder = undisturbed[0].workdir.parents[1]
    result = run("sweep", "--config", f"{file}:0,2", "--workdir", folder)
    assert result.exit_code == 1
    error = f"error: --workdir {folder} belongs to another sweep"
    assert result.stderr.startswith(error)
    assert "parameters.seed.values" in result.stderr


def test_a_training_that_diverges_has_failed_and_the_others_go_on(tmp_path, run):
    sweep, folder = tmp_path / "sweep.py", tmp_path / "runs"
    text = SWEEP.replace('"seed"', '"optimizer.learning_rate"')
    sweep.write_text(text.replace('tuple(map(int, arg.split(",")))', "(1e30, 1e-3)"))
    result = run(
        *("sweep", "--config", sweep, "--workdir", folder, "--config.epochs=3")
    )
    assert result.exit_code == 1
    first, second = found(folder)
    assert (first.state, second.state) == ("failed", "finished")
    assert "the training diverged" in first.error
    assert "\n1 of 2 points are done" in result.stdout
    assert result.stderr.startswith("error: 1 of 2 points failed, the first")


DETECTOR = """
from mobilenets.sweeps.definition import Choices, Sweep

def get_sweep():
    return Sweep(
        config="configs/ssdlite_quickstart.py:smoke",
        values={
            "task.loss": "focal",
            "epochs": 0.25,
            "dataset.eval_split": "validation[:8]",
        },
        parameters={
            "model.spec": Choices(values=("tests/small_detector.py:small_detector",))
        },
    )
"""


def test_a_detector_is_swept_like_any_network(run, tmp_path, monkeypatch):
    path, folder = tmp_path / "sweep.py", tmp_path / "runs"
    path.write_text(DETECTOR)
    sweep = definition.load(str(path))
    files = results.claim(str(folder), sweep)
    # The worker in this process, which has started already.
    monkeypatch.setattr(worker.start_up, "prepare_jax", lambda: None)
    monkeypatch.setattr(ending, "by_signals", lambda: None)
    worker.main(str(files.path), files.storage_url, os.getppid())
    (thin,) = found(folder)
    assert thin.state == "finished"
    assert thin.headline == "val/ema/AP" and 0 <= thin.accuracy <= 1
    other = {"model.spec": "tests/small_detector.py:wider_detector"}
    wide = results.plan(sweep, other)
    assert thin.madds < wide.madds and thin.parameters < wide.parameters
    assert run("report", folder).exit_code == 0
    page = (folder / "report/report.html").read_text()
    assert "AP, %" in page and "accuracy, %" not in page
    assert "AP of the averaged weights on val" in page
