"""`mobilenets check`."""

from typing import Annotated

import typer

from mobilenets.cli.command_line import (
    configuration,
    examples,
    fail_with,
    prepare_jax,
)
from mobilenets.errors import UserError

EPILOG = examples(
    "mobilenets check --config quickstart",
    "mobilenets check --config finetune --config.init_from=efficientnet_lite0 "
    "--config.dataset.folder=photos",
)
OPTIONS = ()


def command(
    context: typer.Context,
    config: Annotated[
        str,
        typer.Option(
            metavar="FILE[:ARGUMENT]",
            help="As for train, with the same --config.KEY=VALUE.",
        ),
    ],
) -> None:
    """Read every image of a run before it is trained.

    Checks the config, opens the data sets, and decodes each image to train and to
    evaluate. Broken images are listed; the exit code is then 1.
    """
    run = configuration(config, context.args, OPTIONS)
    prepare_jax()
    from mobilenets.data import checking
    from mobilenets.data.sources.opening import open_sources
    from mobilenets.runtime.console import progress_bar
    from mobilenets.tasks.registry import TASKS

    sources = open_sources(run, TASKS[run.task.name].labels, to_train=True)
    count = sum(map(len, sources.values()))
    broken: list[UserError] = []
    with progress_bar("reading", count) as on_image:
        for source in sources.values():
            broken += checking.broken_images(source, on_image)
    if broken:
        are, them = ("are", "them") if len(broken) > 1 else ("is", "it")
        print(
            f"Of {count:,} images, {len(broken):,} {are} broken: remove or replace "
            f"{them}, or pass over {them} with "
            f"--config.dataset.max_bad_images={len(broken)}."
        )
    else:
        print(f"All {count:,} images can be read.")
    fail_with(broken)
