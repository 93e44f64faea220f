"""`mobilenets report`."""

from typing import Annotated

import typer

from mobilenets.cli.command_line import examples, prepare_jax, tell

EPILOG = examples("mobilenets report runs/widths")


def command(
    folder: Annotated[str, typer.Argument(help="The --workdir of a sweep.")],
) -> None:
    """Write the report of a sweep.

    The report is one page with plots and a table, also of an unfinished sweep. Latency
    is measured now for networks that do not have it yet: nothing else should run on
    this machine meanwhile.
    """
    prepare_jax()
    from mobilenets.sweeps.report import command as sweep_report

    print(f"Wrote {sweep_report.make(folder, tell)}.")
