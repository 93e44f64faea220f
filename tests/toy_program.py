"""The toy task as a command of its own, for tests that stop and kill it.

python -m tests.toy_program WORKDIR --steps 40 --seconds 0.05
"""

import contextlib
import threading
import time
from typing import Annotated

import jax
import orbax.checkpoint as ocp
import typer

from mobilenets.cli import command_line
from mobilenets.errors import BrokenImage
from mobilenets.runs import checkpoint
from mobilenets.runtime import sharding
from mobilenets.training import loop
from tests import toy_task

EPILOG = ""


class SlowTask(toy_task.ToyTask):
    """Of some seconds a step.

    Args:
      config: of the run.
      seconds: of a step.
      broken: the number of the process that evaluates a broken image; -1 is none.
    """

    def __init__(self, config, seconds=0.0, broken=-1):
        super().__init__(config)
        self._seconds, self._broken = seconds, broken

    def eval_batches(self, name):
        if jax.process_index() == self._broken:
            raise BrokenImage("Cannot decode the image bad.jpg: it is cut off.")
        return super().eval_batches(name)

    def train_batches(self, first_step=0):
        def batches():
            for batch in super(SlowTask, self).train_batches(first_step):
                time.sleep(self._seconds)
                yield batch

        return toy_task.as_batches(batches())


def make_task(steps=40, seconds=0.0, broken=-1):
    """Evaluated and saved every second step; its numbers are no round ones."""
    config = toy_task.make_config(
        epochs=float(steps),
        evaluate_every_epochs=2.0,
        log_every_steps=1,
        ema_decay=0.9,
        best_metric="val/distance",  # which it passes after a quarter of the steps
        optimizer={"name": "adamw", "learning_rate": 0.5},
        schedule={"name": "cosine"},
    )
    return SlowTask(config, seconds, broken)


def command(
    workdir: str,
    steps: Annotated[int, typer.Option()] = 40,
    seconds: Annotated[float, typer.Option()] = 0.0,
    distributed: Annotated[bool, typer.Option("--distributed")] = False,
    broken: Annotated[int, typer.Option()] = -1,
    save_seconds: Annotated[float, typer.Option()] = checkpoint.SAVE_SECONDS,
) -> None:
    """Trains the toy task.

    With another number of --save-seconds than the usual one no save ever ends.
    """
    command_line.prepare_jax()
    if save_seconds != checkpoint.SAVE_SECONDS:
        checkpoint.SAVE_SECONDS = save_seconds
        ocp.PyTreeCheckpointHandler.finalize = lambda *_: threading.Event().wait()
    with sharding.joined() if distributed else contextlib.nullcontext():
        loop.train(make_task(steps, seconds, broken), workdir)


def train_on(devices, workdir, steps, seconds):
    """Trains in this process, which has computed nothing yet, on so many devices."""
    jax.config.update("jax_num_cpu_devices", devices)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    loop.train(make_task(steps, seconds), str(workdir))


def main():
    app = command_line.new_app()
    app.command()(command)
    command_line.run(app)


if __name__ == "__main__":
    main()
