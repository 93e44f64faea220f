"""Signals end a command with "Stopped." and no traceback, whatever it is doing."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests import toy_processes

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE = 100
WAITING = """
import time
from mobilenets.runtime import signals
with signals.ending_at_once():
    print("ready", flush=True)
    %s
"""
# What holds the interpreter's main thread in native code, as a compiler does.
NATIVE = "import ctypes\n    while True: ctypes.CDLL(None).sleep(100)"
ASLEEP = "time.sleep(100)"


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        stdout=(folder / "log").open("wb"),
        stderr=subprocess.STDOUT,
    )


def wait_for(process, folder, words):
    end = time.monotonic() + PATIENCE
    while words not in (folder / "log").read_text():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("busy", [NATIVE, ASLEEP], ids=["native", "asleep"])
def test_a_signal_is_heard_while_python_waits(tmp_path, number, busy):
    process = start(tmp_path, "-c", WAITING % busy)
    wait_for(process, tmp_path, "ready")
    process.send_signal(number)
    assert process.wait(10) == 128 + number
    assert (tmp_path / "log").read_text() == "ready\n\nStopped.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_step_ends_the_training_at_once(tmp_path, number):
    process = toy_processes.Program(tmp_path / "log", tmp_path / "run", "--seconds=9")
    process.wait_for("Training a number")
    process.send(number)
    assert process.ends(8) == 128 + number
    last = "Stopped before a step was trained. The same command starts again."
    assert process.log.endswith(f"\n{last}\n") and "Traceback" not in process.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("pause", [None, 0, 1])
def test_a_training_is_saved_at_the_first_signal_only(tmp_path, number, pause):
    """The second one ends it, but not at once: `timeout` sends its signal twice."""
    process = toy_processes.Program(tmp_path / "log", tmp_path / "run", "--seconds=3")
    process.wait_for("step 1/")
    process.send(number)
    if pause is not None:
        process.wait_for("Stopping after this step to save.")
        time.sleep(pause)
        process.send(number)
    assert process.ends(20) == 128 + number
    assert "Traceback" not in process.log
    if pause:
        assert process.log.endswith("\nStopped.\n")
    else:
        assert "Stopped and saved at step" in process.log
