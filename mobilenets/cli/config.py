"""`mobilenets config`."""

import dataclasses
from typing import Annotated

import typer

from mobilenets.cli import tables
from mobilenets.cli.command_line import Json, configuration, examples, print_json
from mobilenets.config import describe, files

EPILOG = examples(
    "mobilenets config",
    "mobilenets config quickstart",
    "mobilenets config efficientnet:phi=2.5 --config.optimizer.name=sgd",
    "mobilenets config quickstart --json",
)
OPTIONS = ("--json",)


def command(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE[:ARGUMENT]", help="As for --config of train.")
    ] = "",
    as_json: Json = False,
) -> None:
    """List the configs of the package, or print one.

    Prints every value with its allowed range, its default and its meaning.
    """
    if not file:
        names = [name for kind in files.FOLDERS for name in files.shipped(kind)]
        if as_json:
            print_json(names)
        else:
            print("\n".join(names))
        return
    rows = describe.rows(configuration(file, context.args, OPTIONS))
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        tables.print_config(file, rows)
