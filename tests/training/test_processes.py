"""Two processes train what one does."""

import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from mobilenets.runs.metric_log import read_metrics
from tests import small_model
from tests.toy_task import TIMED

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]


def free_port():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


def start(directory, *arguments, **environment):
    command = [sys.executable, "train.py", "--config", "configs/quickstart.py:smoke"]
    command += ["--workdir", str(directory), *small_model.OPTIONS, *arguments]
    # Two small steps. The network has no dropout, whose masks go by the place in the
    # batch. Not with Adam, which makes whole steps of gradients that are mere rounding.
    command += ["--config.epochs=0.5", "--config.schedule.warmup_epochs=0.0"]
    command += ["--config.optimizer.name=sgd", "--config.optimizer.learning_rate=1e-6"]
    # Neither 11 nor 7 is a multiple of the batch, or of the processes.
    command += ["--config.evals.few.split=validation[40:51]"]
    command += ["--config.evals.clothes.name=fashion_mnist_subset"]
    command += ["--config.evals.clothes.split=train[:7]"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of a run in one process with two devices, and in two with one."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    cluster = {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}",
        "JAX_NUM_PROCESSES": "2",
        "JAX_NUM_CPU_DEVICES": "1",
    }
    processes = [start(one, JAX_NUM_CPU_DEVICES="2")]
    for i in range(2):
        processes.append(start(two, "--distributed", **cluster, JAX_PROCESS_ID=str(i)))
    try:
        for process in processes:
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output
    finally:
        for process in processes:
            process.kill()
    return one, two


def final_state(directory):
    """The arrays of the last checkpoint, by their paths."""
    path = directory / "checkpoints/2/state"
    handler = ocp.PyTreeCheckpointer()
    tree = handler.metadata(path).item_metadata.tree
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    restored = handler.restore(path, restore_args=as_numpy)
    return {jax.tree_util.keystr(p): x for p, x in jax.tree.leaves_with_path(restored)}


def test_the_final_states_are_equal(runs):
    one, two = map(final_state, runs)
    assert set(one) == set(two)
    assert one["['step']"] == 2
    for name in one:  # the momenta among them are the gradients of both steps
        error = np.abs(two[name] - one[name]).max()
        assert error <= 1e-4 * np.abs(one[name]).max(), name


def test_metrics_are_written_once(runs):
    one, two = (read_metrics(directory / "metrics.jsonl") for directory in runs)
    assert [r["step"] for r in two] == [1, 2, 2]
    for a, b in zip(one, two, strict=True):
        shared = set(a) & set(b) - TIMED
        assert {"train/loss", "val/ema/top1"} & shared
        assert {k: b[k] for k in shared} == pytest.approx(
            {k: a[k] for k in shared}, rel=1e-5, abs=1e-5
        )
    assert two[-1]["val/raw/count"] == two[-1]["val/ema/count"] == 40


def test_every_image_of_every_set_is_counted(runs):
    for directory in runs:
        last = read_metrics(directory / "metrics.jsonl")[-1]
        counts = {name: n for name, n in last.items() if name.endswith("/count")}
        assert counts == {
            f"{name}/{weights}/count": size
            for name, size in (("val", 40), ("few", 11), ("clothes", 7))
            for weights in ("raw", "ema")
        }
