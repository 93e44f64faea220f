"""Two real processes find the metrics that one finds."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train
from tests.evaluation_program import evaluate
from tests.faults.test_processes import free_port
from tests.tasks import test_detection, test_segmentation

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
VALIDATION = {test_detection: "valid", test_segmentation: "val"}


def start(number, port, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.evaluation_program", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ
        | {
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT),
            "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
            "JAX_NUM_PROCESSES": "2",
            "JAX_NUM_CPU_DEVICES": "1",
            "JAX_PROCESS_ID": str(number),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trained_run(module, folder):
    """Photographs with eleven to evaluate, and a run of one epoch."""
    photographs, run = folder / "photographs", folder / "run"
    for split, count in (("train", 8), (VALIDATION[module], 11)):
        module.write_photographs(photographs, split, count, seed=1)
    if module is test_segmentation:
        (photographs / "classes.txt").write_text("\n".join(module.COLORS))
    train(make_task(module.make_config(photographs, epochs=1.0)), str(run))
    return photographs, run


def test_every_image_counts_once_on_two_processes(tmp_path):
    """Each process reads half of every batch."""
    arguments, expected = [], []
    for module in VALIDATION:
        photographs, run = trained_run(module, tmp_path / module.__name__)
        arguments += [module.__name__, photographs, run]
        expected.append(evaluate(module.make_config, str(photographs), str(run)))
    port = free_port()
    for process in [start(number, port, *arguments) for number in range(2)]:
        printed, complaints = process.communicate(timeout=300)
        assert process.returncode == 0, complaints
        found = [json.loads(line) for line in printed.splitlines() if line[0] == "{"]
        for ours, theirs in zip(found, expected, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-3, nan_ok=True)
