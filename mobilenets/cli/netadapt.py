"""`mobilenets netadapt`."""

import enum
import pathlib
from typing import Annotated

import typer

from mobilenets.cli import networks
from mobilenets.cli.command_line import examples, prepare_jax, tell, usage_errors
from mobilenets.config import overrides

EPILOG = examples(
    "mobilenets netadapt --weights runs/v3 --target 0.8 --workdir runs/narrow",
    "mobilenets netadapt --weights runs/v3 --latency-table phone.csv --target 0.8 "
    "--workdir runs/phone",
    "mobilenets netadapt --weights runs/v3 --objective madds --target 0.8 --steps 500 "
    "--workdir runs/madds",
)
OPTIONS = (
    *("--weights", "--target", "--workdir", "--latency-table", "--objective"),
    *("--delta", "--steps", "--config", "--blank"),
)


class Objective(enum.StrEnum):
    """What is reduced."""

    LATENCY = "latency"
    MADDS = "madds"


def command(
    context: typer.Context,
    weights: Annotated[
        str,
        typer.Option(metavar="NETWORK", help=f"What is adapted. {networks.TRAINED}"),
    ],
    target: Annotated[
        float,
        typer.Option(
            help="The latency or MAdds to reach, as a fraction of the first network's."
        ),
    ],
    workdir: Annotated[
        str, typer.Option(metavar="FOLDER", help="Folder for all output.")
    ],
    latency_table: Annotated[
        str | None,
        typer.Option(
            metavar="CSV",
            help="The latency table of a device. Default: this machine is measured, "
            "piece by piece as it is needed.",
        ),
    ] = None,
    objective: Annotated[
        Objective, typer.Option(help="What is reduced: latency or multiply-adds.")
    ] = Objective.LATENCY,
    delta: Annotated[
        float,
        typer.Option(help="What a step saves at least, as such a fraction."),
    ] = 0.01,
    steps: Annotated[
        int,
        typer.Option(
            help="Steps that each proposal is trained for; the paper: 10,000."
        ),
    ] = 100,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:ARGUMENT]",
            help="A config by which proposals are trained, instead of the run's own. "
            "--config.KEY=VALUE overrides values of either.",
        ),
    ] = None,
    blank: Annotated[
        str | None,
        typer.Option(
            metavar="CSV",
            help="Write the latency table, with rows to be filled in for all that the "
            "next step may need. Run nothing.",
        ),
    ] = None,
) -> None:
    """Narrow a trained network until it is fast enough.

    As NetAdapt does: each step proposes to narrow one expansion, or one bottleneck in
    all blocks that share it, trains each for a short time, and takes the one with the
    best ratio of accuracy to latency. The result is a spec, adapted.json, with its
    weights. A tenth of the images to train is held out and ranks the proposals, or the
    split that --config.dataset.eval_split gives. Run the same command again to resume.
    """
    with usage_errors():
        values = overrides.parse(context.args, OPTIONS)
    prepare_jax()
    from mobilenets.search import netadapt
    from mobilenets.search.netadapt_folder import adaptation

    given = netadapt.Given(
        networks.weights(weights),
        adaptation(target=target, delta=delta, steps=steps, objective=objective.value),
        *(workdir, config, values, latency_table),
    )
    if blank is None:
        netadapt.run(given, tell)
    else:
        netadapt.write_blank(given, pathlib.Path(blank))
