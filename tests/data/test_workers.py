"""The processes that load images end with the one that trains."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mobilenets.runtime import processors

# Waits for a batch, says which processes it has started, and trains forever.
TRAINER = """
import multiprocessing, os, time
import numpy as np
from mobilenets.data import pipeline

class Numbers:
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return index

def load(record, rng):
    return {"number": np.int32(record)}

if __name__ == "__main__":
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    batches = pipeline.train_batches(Numbers(), load, 2, seed=0, num_workers=3)
    next(batches), next(batches)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    time.sleep(600)
"""


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_process_that_trains(tmp_path, how):
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    trainer = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    )
    try:
        workers = [int(process) for process in trainer.stdout.readline().split()]
        assert len(workers) == min(2, processors.usable())  # one for each of two cores
        assert all(map(is_running, workers))
    finally:
        trainer.send_signal(how)
        trainer.wait()
    ends = time.monotonic() + 60
    while any(map(is_running, workers)) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not any(map(is_running, workers))
