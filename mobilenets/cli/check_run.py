"""`mobilenets check-run`."""

import sys
from typing import Annotated

import typer

from mobilenets.cli.command_line import examples, prepare_jax
from mobilenets.errors import UserError

EPILOG = examples("mobilenets check-run runs/quickstart")


def command(
    run: Annotated[
        str, typer.Argument(metavar="WORKDIR", help="The --workdir of a training.")
    ],
) -> None:
    """Check that the checkpoints of a run are what was saved.

    Each array is compared with the hash that was saved with it, and the config with
    that of the run. Nothing is changed. The exit code is 1 if a checkpoint is damaged
    or missing.
    """
    prepare_jax()
    from mobilenets.runs import soundness, workdir

    files = workdir.of(run)
    found = soundness.faults(files)
    if not found:
        raise UserError(f"--workdir {run} holds no checkpoint.")
    config = workdir.read_config(files) if files.config.exists() else None
    for step in sorted(found):
        if config and not found[step]:
            changed = soundness.other_config(files, step, config)
            if changed:
                names = ", ".join(map(str, changed))
                found[step] = f"its config is not that of the run: {names}"
        print(f"step {step}: {found[step] or 'sound'}")
    if any(found.values()):
        sys.exit(1)
