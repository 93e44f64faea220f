"""The wheel, installed away from the checkout, is used by the names of configs."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from mobilenets.runs.metric_log import read_metrics
from tests import small_model

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[1]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
NAMED = ("train", "--config", "quickstart:smoke", "--workdir")
SMOKE = ("train", "--config", "quickstart:smoke", *small_model.OPTIONS, "--workdir")


class Installed:
    """The wheel, installed beside nothing else of ours, and an empty folder."""

    def __init__(self, site, folder):
        self.site, self.folder = site, folder

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "mobilenets", *map(str, arguments)],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.site)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments):
        """The exit code, and what was printed and told."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=900)
        return process.returncode, output, errors

    def printed(self, *arguments):
        code, output, errors = self.run(*arguments)
        assert code == 0, errors
        return output


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    wheels, site, folder = (
        tmp_path_factory.mktemp(name) for name in ("wheels", "site", "folder")
    )
    subprocess.run([*PIP, "wheel", "--no-deps", "-w", wheels, ROOT], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*PIP, "install", "--no-deps", "--target", site, wheel], check=True)
    return Installed(site, folder)


@pytest.fixture(scope="module")
def finished(installed):
    """The folder of a run that has ended."""
    assert "Finished 8 steps" in installed.printed(*NAMED, "runs/q")
    return installed.folder / "runs/q"


def test_it_is_the_wheel_that_runs(installed):
    where = subprocess.run(
        [sys.executable, "-c", "import mobilenets; print(mobilenets.__file__)"],
        cwd=installed.folder,
        env=os.environ | {"PYTHONPATH": str(installed.site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert pathlib.Path(where.stdout.strip()).is_relative_to(installed.site)


def test_its_configs_have_names(installed):
    names = installed.printed("config").split()
    configs = ROOT / "configs"
    expected = {path.stem for path in configs.glob("[!_]*.py")}
    for folder in ("sweeps", "search"):
        below = (configs / folder).glob("[!_]*.py")
        expected |= {f"{folder}/{path.stem}" for path in below}
    assert set(names) == expected
    rows = json.loads(installed.printed("config", "quickstart", "--json"))
    assert {row["key"]: row["value"] for row in rows}["epochs"] == 18.0
    assert "warmup_epochs" in installed.printed("config", "quickstart")


def test_a_finished_run_is_evaluated_and_predicted_with(installed, finished):
    last = read_metrics(finished / "metrics.jsonl")[-1]
    printed = installed.printed("eval", "--workdir", finished, "--checkpoint", "latest")
    assert f"{last['val/ema/loss']:.4f}" in printed
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(installed.folder / "photo.png")
    installed.printed("predict", "photo.png", "--weights", "runs/q")
    assert (installed.folder / "predictions.png").stat().st_size > 0


def test_a_finished_run_is_not_begun_again(installed, finished):
    assert "Nothing to do" in installed.printed(*NAMED, "runs/q")
    code, _, errors = installed.run(*NAMED, "runs/q", "--config.epochs=3")
    assert code == 1 and "epochs (2.0 there, 3.0 given)" in errors
    assert "Traceback" not in errors


def test_a_stopped_run_goes_on(installed):
    workdir = installed.folder / "runs/stopped"
    epochs = ("--config.epochs=50", "--config.evaluate_every_epochs=50")
    command = (*SMOKE, workdir, *epochs)
    process = installed.start(*command)
    log, deadline = workdir / "metrics.jsonl", time.monotonic() + 900
    while not (log.exists() and log.read_text().count("\n") > 2):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=900)
    assert process.returncode == 143, errors
    assert "The same command continues from there." in output
    stopped = read_metrics(log)[-1]["step"]
    output = installed.printed(*command)
    assert f"Resuming at step {stopped} of 200" in output
    assert "Finished 200 steps" in output


# Two points of a run that is named.
SWEEP = f"""
from mobilenets.sweeps.definition import Choices, Sweep

def get_sweep():
    return Sweep(
        config="quickstart:smoke",
        values={small_model.VALUES | {"epochs": 0.5}},
        parameters={{"seed": Choices(values=(0, 1))}},
    )
"""


def test_sweeps_by_names(installed):
    planned = installed.printed(
        "sweep", "--config", "sweeps/width_resolution", "--dry-run"
    )
    assert "width_multiplier" in planned
    (installed.folder / "seeds.py").write_text(SWEEP)
    installed.printed("sweep", "--config", "seeds.py", "--workdir", "runs/seeds")
    logs = [*(installed.folder / "runs/seeds").rglob("metrics.jsonl")]
    assert len(logs) == 2
    assert all("val/ema/top1" in read_metrics(log)[-1] for log in logs)
