"""`mobilenets report`."""

from typing import Annotated

import typer

from mobilenets.cli.command_line import examples, prepare_jax, tell

EPILOG = examples("mobilenets report runs/widths")


def command(
    folder: Annotated[str, typer.Argument(help="The --workdir of a sweep.")],
) -> None:
    """Writes what a sweep has found so far, as a page with pictures and a table.

    Measures the latency of each network that is not measured yet, all in turn: nothing
    else should run on the machine then.
    """
    prepare_jax()
    from mobilenets.sweeps.report import command as sweep_report

    print(f"The report is {sweep_report.make(folder, tell)}.")
