"""`mobilenets eval`, which is `eval.py` too."""

import enum
from typing import Annotated

import typer

from mobilenets.cli.command_line import examples, prepare_jax, usage_errors
from mobilenets.config import check, files, overrides, values
from mobilenets.runtime.compilation_cache import HELP

EPILOG = f"{HELP}\n\n" + examples(
    "mobilenets eval --workdir runs/quickstart",
    "mobilenets eval --workdir runs/quickstart --weights raw --checkpoint latest "
    "--split train --config.batch_size=100",
    "python eval.py --config configs/quickstart.py --workdir runs/quickstart",
)
OPTIONS = ("--workdir", "--weights", "--checkpoint", "--split")


class Weights(enum.StrEnum):
    """Of the two that a checkpoint has."""

    EMA = "ema"
    RAW = "raw"


class Checkpoint(enum.StrEnum):
    """Of the two that a run keeps."""

    BEST = "best"
    LATEST = "latest"


def command(
    context: typer.Context,
    workdir: Annotated[
        str, typer.Option(metavar="FOLDER", help="The folder of the run.")
    ],
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:ARGUMENT]",
            help="A config instead of the run's own, which must be the same as far as "
            "the network is concerned. Values of either are overridden by "
            "--config.KEY=VALUE.",
        ),
    ] = None,
    weights: Annotated[
        Weights,
        typer.Option(help="The moving average of the weights, or the last."),
    ] = Weights.EMA,
    checkpoint: Annotated[
        Checkpoint, typer.Option(help="The best, or the latest.")
    ] = Checkpoint.BEST,
    split: Annotated[
        str | None,
        typer.Option(help="Evaluated instead of the config's dataset.eval_split."),
    ] = None,
) -> None:
    """Evaluates a trained network on one split, every image once."""
    with usage_errors():
        given = overrides.parse(context.args, OPTIONS)
        built = None if config is None else files.read(config)
    if split is not None:
        given["dataset.eval_split"] = split
    prepare_jax()
    from mobilenets.evaluation.run import evaluate_run
    from mobilenets.evaluation.tables import print_evaluation
    from mobilenets.inference import trained
    from mobilenets.runs.workdir import of_run, read_config
    from mobilenets.tasks.registry import make_task

    if built is None:
        built = values.of(read_config(of_run(workdir)))
    overrides.apply(built, given)
    task = make_task(check.check(built), trained.describe(workdir))
    evaluation = evaluate_run(
        task,
        workdir,
        ema=weights == Weights.EMA,
        best=checkpoint == Checkpoint.BEST,
    )
    print_evaluation(evaluation)
