"""`mobilenets compare`."""

from typing import Annotated

import typer

from mobilenets.cli.command_line import examples, prepare_jax, tell

EPILOG = examples("mobilenets compare runs/small runs/large --output comparison")


def command(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="The --workdir of each.")
    ],
    output: Annotated[
        str, typer.Option(metavar="FOLDER", help="For the page and its pictures.")
    ],
) -> None:
    """Draws accuracy of runs against MAdds, parameters and latency, as a sweep's page.

    Accuracy is the task's own metric of the averaged weights on "val". Measures the
    latency of all networks in turn: nothing else should run on the machine then.
    """
    prepare_jax()
    from mobilenets.sweeps.report import compare

    print(f"The comparison is {compare.make(runs, output, tell)}.")
