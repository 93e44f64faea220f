"""Two real processes of one run: one is interrupted, killed, late."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]


def free_port():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


class Pair:
    """Two processes of a run that takes minutes, and what they print."""

    def __init__(self, folder):
        self.folder = folder
        self._port = free_port()
        self.processes = {}

    def start(self, number, *options):
        log = (self.folder / f"log_{number}").open("wb")
        self.processes[number] = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.toy_program", self.folder / "run"),
                *("--distributed", "--steps", "2000", "--seconds", "0.05"),
                *options,
            ],
            cwd=ROOT,
            env=os.environ
            | {
                "JAX_PLATFORMS": "cpu",
                "PYTHONPATH": str(ROOT),
                "JAX_COORDINATOR_ADDRESS": f"localhost:{self._port}",
                "JAX_NUM_PROCESSES": "2",
                "JAX_NUM_CPU_DEVICES": "1",
                "JAX_PROCESS_ID": str(number),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def log(self, number):
        return (self.folder / f"log_{number}").read_text()

    def wait_for(self, number, words, seconds=200):
        end = time.monotonic() + seconds
        while words not in self.log(number):
            assert time.monotonic() < end, self.log(number)
            assert self.processes[number].poll() is None, self.log(number)
            time.sleep(0.1)

    def ends(self, seconds=40):
        """The exit codes."""
        return [self.processes[n].wait(seconds) for n in sorted(self.processes)]


@pytest.fixture
def pair(tmp_path):
    pair = Pair(tmp_path)
    yield pair
    for process in pair.processes.values():
        process.kill()
        process.wait()


@pytest.fixture
def training(pair):
    """A pair that has saved its first checkpoint."""
    pair.start(0)
    pair.start(1)
    pair.wait_for(0, "raw:")
    time.sleep(1)
    return pair


@pytest.mark.parametrize("number", [0, 1])
def test_an_interrupt_of_one_stops_both_after_saving(training, number):
    training.processes[number].send_signal(signal.SIGINT)
    codes = training.ends()
    assert set(codes) <= {130, 143}, training.log(0) + training.log(1)
    assert "Stopped and saved at step" in training.log(0)
    assert "Traceback" not in training.log(0) + training.log(1)


@pytest.mark.parametrize("number", [0, 1])
def test_a_killed_process_ends_the_other_with_a_sentence(training, number):
    training.processes[number].kill()
    training.ends()
    other = training.log(1 - number)
    assert training.processes[1 - number].returncode == 1
    assert other.count("has ended, so this one ends too. What was saved is kept") == 1
    assert "Traceback" not in other
    # Where the first one is killed, which hosts JAX's service, native code may log it.
    assert number == 0 or "coordination" not in other


def test_an_interrupt_before_the_other_has_come_ends_at_once(pair):
    pair.start(0)
    pair.wait_for(0, "Still waiting for the other processes of the run", 60)
    pair.processes[0].send_signal(signal.SIGINT)
    assert pair.processes[0].wait(10) == 130
    assert pair.log(0).endswith("\nStopped.\n")
    assert "Traceback" not in pair.log(0)


def test_a_process_that_comes_late_is_waited_for(pair):
    pair.start(1)
    pair.wait_for(1, "Still waiting for the other processes of the run", 60)
    pair.start(0)
    pair.wait_for(0, "raw:")
    pair.processes[0].send_signal(signal.SIGTERM)
    assert set(pair.ends()) <= {143}


@pytest.mark.parametrize("number", [0, 1])
def test_an_image_that_is_broken_for_one_ends_both(pair, number):
    """It cannot save alone, and does not try to."""
    pair.start(0, f"--broken={number}")
    pair.start(1, f"--broken={number}")
    pair.wait_for(0, "step 2/")
    assert pair.ends(60) == [1, 1]
    assert "error: Cannot decode the image bad.jpg" in pair.log(number)
    assert "has ended, so this one ends too" in pair.log(1 - number)
    assert "Traceback" not in pair.log(0) + pair.log(1)


def test_an_error_on_the_first_is_said_by_both(pair):
    (pair.folder / "run").mkdir()
    (pair.folder / "run/checkpoints").write_text("")
    pair.start(0)
    pair.start(1)
    assert pair.ends(120) == [1, 1]
    for number in (0, 1):
        assert "error: Cannot write to --workdir" in pair.log(number)
        assert "Traceback" not in pair.log(number)
