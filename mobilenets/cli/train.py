"""`mobilenets train`, and `train.py`."""

import contextlib
from typing import Annotated

import typer

from mobilenets.cli.command_line import configuration, examples, prepare_jax
from mobilenets.runtime.compilation_cache import HELP

EPILOG = f"{HELP}\n\n" + examples(
    "mobilenets train --config quickstart --workdir runs/quickstart",
    "mobilenets train --config mobilenet_v2:width=0.75,resolution=192 "
    "--config.dataset.data_dir=/data/tfds --workdir runs/v2",
    "mobilenets train --config quickstart --workdir runs/quickstart --warm-restart "
    "--config.epochs=30 --config.optimizer.learning_rate=0.004",
    "python train.py --config configs/quickstart.py --workdir runs/quickstart",
)
OPTIONS = ("--workdir", "--warm-restart", "--distributed")


def command(
    context: typer.Context,
    config: Annotated[
        str,
        typer.Option(
            metavar="FILE[:ARGUMENT]",
            help="A config file, or the name of a shipped one. --config.KEY=VALUE "
            "overrides any value; `mobilenets config FILE` prints them all.",
        ),
    ],
    workdir: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="Folder for all output of the run."),
    ],
    warm_restart: Annotated[
        bool,
        typer.Option(
            "--warm-restart",
            help="Resume with other values of optimizer, schedule or epochs: the "
            "schedule begins anew at the last checkpoint. It is recorded in "
            "history.json. Leave the option out when you resume again.",
        ),
    ] = False,
    distributed: Annotated[
        bool,
        typer.Option("--distributed", help="Join a run of several processes (hosts)."),
    ] = False,
) -> None:
    """Train a network.

    Run the same command again to resume from the last checkpoint. Ctrl-C saves a
    checkpoint and stops.
    """
    run = configuration(config, context.args, OPTIONS)
    prepare_jax()
    from mobilenets.runtime import sharding
    from mobilenets.tasks.registry import make_task
    from mobilenets.training.loop import train

    with sharding.joined() if distributed else contextlib.nullcontext():
        train(make_task(run), workdir, warm_restart=warm_restart)
