"""`mobilenets search`."""

from typing import Annotated

import typer

from mobilenets.cli.command_line import examples, prepare_jax, tell, usage_errors
from mobilenets.config import overrides
from mobilenets.errors import UserError

EPILOG = examples(
    "mobilenets search --config search/quickstart --dry-run",
    "mobilenets search --config search/quickstart --workdir runs/search",
    "mobilenets search --config search/moga --workdir runs/moga "
    "--latency-table phone.csv",
    "mobilenets search --config search/moga --workdir /shared/moga --workers 2 "
    "--storage postgresql+psycopg://me:secret@host/searches",
)
OPTIONS = ("--workdir", "--latency-table", "--workers", "--storage", "--dry-run")


def command(
    context: typer.Context,
    config: Annotated[
        str, typer.Option(metavar="FILE", help="A search file, or search/NAME.")
    ],
    workdir: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Folder for all output."),
    ] = None,
    latency_table: Annotated[
        str | None,
        typer.Option(
            metavar="CSV",
            help="The latency table of a device, see `mobilenets latency-table`. "
            "Default: this machine is measured.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, help="Processes on this machine that rank candidates."),
    ] = 1,
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
        typer.Option("--dry-run", help="Print the work and its cost, search nothing."),
    ] = False,
) -> None:
    """Search for networks by a supernet and evolution.

    Trains the supernet of the space, measures a latency table, and evolves candidates
    that are ranked with the weights of the supernet. Networks of the front are written
    as specs, with their weights. --config.KEY=VALUE overrides a value of the supernet's
    run, as for train. Run the same command again to resume, or on another machine to
    add workers. Each candidate is evaluated once. Neither kills nor the number of
    workers change what is found.
    """
    with usage_errors():
        values = overrides.parse(context.args, OPTIONS)
    prepare_jax()
    from mobilenets.search import command as search_command
    from mobilenets.search import definition, plan

    search = definition.load(config, values)
    if dry_run:
        plan.print_plan(search, latency_table, tell)
    elif workdir is None:
        raise UserError("--workdir is missing: give a folder for all output.")
    else:
        search_command.run(search, workdir, latency_table, tell, workers, storage)
