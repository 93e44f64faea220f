"""Whole sweeps by real workers: stopped, killed, and failing."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import optuna
import pytest

from mobilenets.sweeps import results
from tests import worker_processes
from tests.sweeps import postgresql
from tests.toy_task import TIMED

pytestmark = pytest.mark.slow  # real workers, each with a start of its own

ROOT = pathlib.Path(__file__).parents[2]
POINTS = 2
STEPS = 60

# Two seeds of a network that compiles in seconds, in a training of as many.
SWEEP = """
from mobilenets.sweeps.definition import Choices, Sweep

def get_sweep(arg="0,1"):
    return Sweep(
        config="configs/quickstart.py:smoke",
        values={
            "model.name": "mobilenet_v1",
            "model.depth_multiplier": 0.2,
            "epochs": 15.0,
            "evaluate_every_epochs": 3.0,
        },
        parameters={
            "seed": Choices(values=tuple(map(int, arg.split(",")))),
            "model.width_multiplier": Choices(values=(0.25,)),
        },
    )
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "sweep.py"
    path.write_text(SWEEP)
    return str(path)


def start(file, folder, *options):
    words = [sys.executable, "-m", "mobilenets", "sweep", "--config", file]
    return subprocess.Popen(
        [*words, "--workdir", str(folder), *options],
        cwd=ROOT,
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
    for worker in workers_of(folder):
        for point in (folder / "points").glob("*"):
            saved = any(p.name.isdigit() for p in (point / "checkpoints").glob("*"))
            if saved and worker_processes.holds(worker, point / ".lock"):
                return worker
    return None


@pytest.fixture(scope="module")
def undisturbed(file, tmp_path_factory):
    """The results of one worker that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed") / "sweep"
    printed, code = finish(start(file, folder))
    assert code == 0, printed
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
    subprocess.run(words, shell=True, cwd=ROOT, check=True, capture_output=True)
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


def test_ctrl_c_saves_and_the_same_command_goes_on(file, undisturbed, tmp_path):
    folder = tmp_path / "sweep"
    process = start(file, folder)
    worker_at_a_checkpoint(folder)
    process.send_signal(signal.SIGINT)
    printed, code = finish(process)
    assert code == 130, printed
    left = re.search(r"Stopped and saved; (\d) points are left", printed)
    assert left and 1 <= int(left[1]) <= POINTS
    assert not workers_of(folder)
    printed, code = finish(start(file, folder))
    assert code == 0, printed
    assert list(map(logged, found(folder))) == list(map(logged, undisturbed))
    printed, code = finish(start(file, folder))
    assert code == 0 and f"All {POINTS} points are done" in printed


def test_another_sweep_is_refused_in_the_folder(file, undisturbed):
    folder = undisturbed[0].workdir.parents[1]
    printed, code = finish(start(f"{file}:0,2", folder))
    assert code == 1
    assert printed.startswith(f"error: --workdir {folder} belongs to another sweep")
    assert "parameters.seed.values" in printed


def test_a_training_that_diverges_has_failed_and_the_others_go_on(tmp_path):
    sweep = tmp_path / "sweep.py"
    text = SWEEP.replace('"seed": Choices', '"optimizer.learning_rate": Choices')
    text = text.replace('tuple(map(int, arg.split(",")))', "(1e30, 1e-3)")
    sweep.write_text(text.replace('"epochs": 15.0', '"epochs": 2.0'))
    printed, code = finish(start(str(sweep), tmp_path / "runs"))
    assert code == 1
    first, second = found(tmp_path / "runs")
    assert (first.state, second.state) == ("failed", "finished")
    assert "the training diverged" in first.error
    *_, done, failed = printed.splitlines()
    assert done.startswith("1 of 2 points are done")
    assert failed.startswith("error: 1 of 2 points failed, the first")


DETECTORS = """
from mobilenets.sweeps.definition import Choices, Sweep

def get_sweep():
    return Sweep(
        config="configs/ssdlite_quickstart.py:smoke",
        values={"task.loss": "focal", "epochs": 0.25},
        parameters={
            "model.spec": Choices(
                values=tuple(
                    f"tests/small_detector.py:{name}"
                    for name in ("small_detector", "wider_detector")
                )
            )
        },
    )
"""


def test_detectors_are_swept_like_any_network(run, tmp_path):
    sweep, folder = tmp_path / "sweep.py", tmp_path / "runs"
    sweep.write_text(DETECTORS)
    printed, code = finish(start(str(sweep), folder))
    assert code == 0, printed
    thin, wide = found(folder)
    assert thin.state == wide.state == "finished"
    assert thin.headline == "val/ema/AP" and 0 <= thin.accuracy <= 1
    assert thin.madds < wide.madds and thin.parameters < wide.parameters
    assert run("report", folder).exit_code == 0
    page = (folder / "report/report.html").read_text()
    assert "AP, %" in page and "accuracy, %" not in page
    assert "AP of the averaged weights on val" in page
