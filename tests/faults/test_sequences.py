"""Whatever comes in between, a run ends with the same bits.

A seeded random sequence of kills, interrupts, other numbers of devices and damages is
followed by a run to the end. Its state is compared with that of a run that was never
interrupted, by the hashes of their arrays.
"""

import json
import os
import random
import signal
import time

import pytest

from tests import toy_processes, toy_program

pytestmark = pytest.mark.slow

STEPS = 40
SECONDS = 0.02  # a step
PATIENCE = 60  # seconds until something must have happened


def start(folder, devices=1):
    return toy_processes.started(toy_program.train_on, devices, folder, STEPS, SECONDS)


def finish(folder, devices=1):
    process = start(folder, devices)
    process.join(PATIENCE)
    assert process.exitcode == 0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    finish(folder)
    return last_arrays(folder)


def steps(folder):
    names = [path.name for path in (folder / "checkpoints").glob("*")]
    return sorted(int(name) for name in names if name.isdecimal())


def last_arrays(folder):
    """The hashes of the arrays at the end."""
    assert steps(folder)[-1] == STEPS
    run = json.loads((folder / f"checkpoints/{STEPS}/run/metadata").read_text())
    assert run["finished"]
    return run["arrays"]


def wait_until(process, happens):
    end = time.monotonic() + PATIENCE
    while process.is_alive() and not happens():
        assert time.monotonic() < end
        time.sleep(0.001)


def is_saving(folder):
    return any((folder / "checkpoints").glob("*.orbax-checkpoint-tmp"))


def logged(folder):
    file = folder / "metrics.jsonl"
    return file.stat().st_size if file.exists() else 0


def kill(process, folder, choice, number=signal.SIGKILL):
    """Ends a process while it saves, or at a moment while it trains."""
    before = logged(folder)
    if choice.random() < 0.5:
        wait_until(process, lambda: is_saving(folder))
        time.sleep(choice.uniform(0, 0.02))
    else:
        wait_until(process, lambda: logged(folder) not in (0, before))
        time.sleep(choice.uniform(0, 0.5))
    if process.is_alive():
        os.kill(process.pid, number)
    process.join(PATIENCE)
    assert not process.is_alive()


def damage(folder, choice):
    """One of two or more checkpoints: a flipped bit, or a file less."""
    if len(steps(folder)) < 2:
        return
    step = choice.choice(steps(folder))
    files = sorted((folder / f"checkpoints/{step}/state").rglob("d/*"))
    if not files:  # killed while it deleted this checkpoint: damaged already
        return
    path = choice.choice(files)
    contents = bytearray(path.read_bytes())
    if choice.random() < 0.3:
        path.unlink()
    else:
        contents[choice.randrange(len(contents))] ^= 1 << choice.randrange(8)
        path.write_bytes(contents)


def test_twenty_kills_at_random_moments_cost_no_bit(uninterrupted, tmp_path):
    choice, kills, number = random.Random(0), 0, 0
    while kills < 20:
        folder = tmp_path / str(number)
        number += 1
        for _ in range(4):
            process = start(folder)
            kill(process, folder, choice)
            kills += process.exitcode == -signal.SIGKILL
        finish(folder)
        assert last_arrays(folder) == uninterrupted


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_faults_costs_no_bit(uninterrupted, tmp_path, seed):
    choice = random.Random(seed)
    for _ in range(5):
        process = start(tmp_path, devices=choice.choice([1, 2, 4]))
        number = choice.choice([signal.SIGKILL, signal.SIGTERM])
        kill(process, tmp_path, choice, number)
        if choice.random() < 0.6:
            damage(tmp_path, choice)
    finish(tmp_path, devices=choice.choice([1, 2, 4]))
    assert last_arrays(tmp_path) == uninterrupted
