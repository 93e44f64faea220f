"""The toy task as a command of its own, for tests that stop and kill it.

python -m tests.toy_program WORKDIR --steps 40 --seconds 0.05
"""

import contextlib
import time
from typing import Annotated

import typer

from mobilenets.cli import command_line
from tests import toy_task

EPILOG = ""


class SlowTask(toy_task.ToyTask):
    """Of some seconds a step.

    Args:
      config: of the run.
      seconds: of a step.
    """

    def __init__(self, config, seconds=0.0):
        super().__init__(config)
        self._seconds = seconds

    def train_batches(self, first_step=0):
        def batches():
            for batch in super(SlowTask, self).train_batches(first_step):
                time.sleep(self._seconds)
                yield batch

        return batches()


def make_task(steps=40, seconds=0.0):
    """Evaluated and saved every second step; its numbers are no round ones."""
    config = toy_task.make_config(
        epochs=float(steps),
        evaluate_every_epochs=2.0,
        log_every_steps=1,
        ema_decay=0.9,
        optimizer={"name": "adamw", "learning_rate": 0.1},
        schedule={"name": "cosine"},
    )
    return SlowTask(config, seconds)


def command(
    workdir: str,
    steps: Annotated[int, typer.Option()] = 40,
    seconds: Annotated[float, typer.Option()] = 0.0,
    distributed: Annotated[bool, typer.Option("--distributed")] = False,
) -> None:
    """Trains the toy task."""
    command_line.prepare_jax()
    from mobilenets.runtime import sharding
    from mobilenets.training.loop import train

    with sharding.joined() if distributed else contextlib.nullcontext():
        train(make_task(steps, seconds), workdir)


if __name__ == "__main__":
    app = command_line.new_app()
    app.command()(command)
    command_line.run(app)
