"""`mobilenets compare`."""

from typing import Annotated

import typer

from mobilenets.cli.command_line import examples, prepare_jax, tell

EPILOG = examples("mobilenets compare runs/small runs/large --output comparison")


def command(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="The --workdir of each run.")
    ],
    output: Annotated[
        str, typer.Option(metavar="FOLDER", help="Folder for the page and its plots.")
    ],
) -> None:
    """Compare finished runs on one page.

    Plots accuracy against MAdds, parameters and latency. Accuracy is the main metric of
    the task, for the averaged weights on "val". Latency is measured now: nothing else
    should run on this machine meanwhile.
    """
    prepare_jax()
    from mobilenets.sweeps.report import compare

    print(f"Wrote {compare.make(runs, output, tell)}.")
