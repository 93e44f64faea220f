"""`mobilenets sweep`."""

from typing import Annotated

import typer

from mobilenets.cli.command_line import examples, prepare_jax, usage_errors
from mobilenets.config import overrides
from mobilenets.errors import UserError

EPILOG = examples(
    "mobilenets sweep --config sweeps/width_resolution --dry-run",
    "mobilenets sweep --config sweeps/width_resolution --workdir runs/widths",
    "mobilenets sweep --config sweeps/width_resolution "
    "--workdir runs/widths --config.epochs=6",
    "mobilenets sweep --config sweeps/learning_rate "
    "--workdir /shared/rates --workers 2 "
    "--storage postgresql+psycopg://me:secret@host/sweeps",
)
OPTIONS = ("--workdir", "--workers", "--storage", "--dry-run")


def command(
    context: typer.Context,
    config: Annotated[
        str, typer.Option(metavar="FILE", help="A sweep file, or sweeps/NAME.")
    ],
    workdir: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Folder for all output."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A database, for workers on several machines that share FOLDER. "
            "Default: a file in FOLDER.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print all points and their cost, run nothing."),
    ] = False,
) -> None:
    """Run a grid or a search over config values.

    Each point is one training run. --config.KEY=VALUE overrides a value in all runs, as
    for train. Run the same command again to resume, or on another machine to add
    workers. Each point is run once. If its worker is killed, another worker resumes it
    from its last checkpoint.
    """
    with usage_errors():
        values = overrides.parse(context.args, OPTIONS)
    prepare_jax()
    from mobilenets.sweeps import command as sweep_command
    from mobilenets.sweeps import definition

    planned = definition.load(config, values)
    if dry_run:
        sweep_command.print_plan(planned)
    elif workdir is None:
        raise UserError("--workdir is missing: give a folder for all output.")
    else:
        sweep_command.run(planned, workdir, workers, storage)
