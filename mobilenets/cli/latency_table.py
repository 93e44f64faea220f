"""`mobilenets latency-table`."""

import pathlib
from typing import Annotated

import typer

from mobilenets.cli.command_line import examples, prepare_jax, tell, usage_errors
from mobilenets.config import overrides
from mobilenets.errors import UserError

EPILOG = examples(
    "mobilenets latency-table --config search/quickstart --output here.csv",
    "mobilenets latency-table --config search/moga --blank phone.csv",
    "mobilenets latency-table --config search/quickstart --check here.csv",
)
OPTIONS = ("--output", "--blank", "--check")


def command(
    context: typer.Context,
    config: Annotated[
        str, typer.Option(metavar="FILE", help="A search file, or search/NAME.")
    ],
    output: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="Measure this machine, and write its table."),
    ] = None,
    blank: Annotated[
        str | None,
        typer.Option(
            metavar="CSV",
            help="Write a table without times, to be filled in elsewhere.",
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="CSV",
            help="Compare a table of this machine with whole networks, measured now.",
        ),
    ] = None,
) -> None:
    """Make or check the latency table of a search space.

    A row is a piece of a network: the stem, a block or the head, known by what it is.
    Its milliseconds are those for one image. The row "call" is the time of a call that
    computes nothing; it counts once in a network. Nothing else should run on this
    machine meanwhile.
    """
    with usage_errors():
        values = overrides.parse(context.args, OPTIONS)
    given = [option for option in (output, blank, check) if option is not None]
    if len(given) != 1:
        raise UserError("Give one of --output, --blank and --check.")
    prepare_jax()
    from mobilenets.search import command as search_command
    from mobilenets.search import definition
    from mobilenets.search import latency_table as table

    search = definition.load(config, values)
    path = pathlib.Path(given[0])
    if check is None and path.exists():
        raise UserError(f"{path} exists already: give a new file.")
    task = search_command.task_of(search)
    space, classes = task.spec, len(task.class_names)
    pieces = table.pieces_of(space, classes)
    if check is not None:
        checked = table.check(table.read(path), space, classes, tell=tell)
        print(checked)
        return
    if output is not None:
        made = table.measure(pieces, tell=tell)
    else:
        made = table.Table("NAME OF THE DEVICE", {})
    table.write(made, map(table.key_of, pieces), path)
    print(f"Wrote {path}: {len(set(map(table.key_of, pieces))) + 1} rows.")
