"""`mobilenets show-batch`."""

import contextlib
import pathlib
from typing import Annotated

import typer

from mobilenets.cli import outputs
from mobilenets.cli.command_line import configuration, examples, prepare_jax
from mobilenets.errors import UserError

EPILOG = examples(
    "mobilenets show-batch --config quickstart --output batch.png",
    "mobilenets show-batch --config quickstart --config.augmentation.mixup={} "
    "--output batch.png",
)
OPTIONS = ("--output",)


def command(
    context: typer.Context,
    config: Annotated[
        str,
        typer.Option(
            metavar="FILE[:ARGUMENT]",
            help="As for train, with the same --config.KEY=VALUE.",
        ),
    ],
    output: Annotated[
        pathlib.Path, typer.Option(metavar="FILE", help="The PNG file to write.")
    ],
) -> None:
    """Draw the first batch to train with its labels.

    The images are exactly those that the network sees, before mean and deviation are
    applied. Mixed images have both labels with their shares.
    """
    run = configuration(config, context.args, OPTIONS)
    outputs.check({"output": output})
    if output.suffix.lower() != ".png":
        raise UserError(f"--output {output} must end in .png, as the picture is a PNG.")
    prepare_jax()
    from mobilenets.tasks.registry import make_task

    # One batch: threads have made it before processes have started.
    dataset = run.dataset.model_copy(update={"num_workers": 0})
    _, task = make_task(run.model_copy(update={"dataset": dataset})).stages[0]
    with contextlib.closing(task.train_batches()) as batches:
        task.draw_first_batch(next(batches), output)
    print(f"Wrote {output}.")
