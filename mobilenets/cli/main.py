"""The command `mobilenets`: each subcommand is a module of this package."""

from typing import Annotated

import typer

import mobilenets
from mobilenets.cli import (
    benchmark,
    check,
    check_run,
    command_line,
    compare,
    config,
    export,
    features,
    import_weights,
    latency_table,
    netadapt,
    predict,
    prepare,
    pretrained,
    profile,
    report,
    scale,
    search,
    show_batch,
    sweep,
    train,
)
from mobilenets.cli import eval as eval_command
from mobilenets.cli import list as list_command

COMMANDS = {
    "train": train,
    "eval": eval_command,
    "check": check,
    "show-batch": show_batch,
    "check-run": check_run,
    "config": config,
    "list": list_command,
    "profile": profile,
    "scale": scale,
    "prepare": prepare,
    "import-weights": import_weights,
    "pretrained": pretrained,
    "predict": predict,
    "features": features,
    "benchmark": benchmark,
    "export": export,
    "sweep": sweep,
    "search": search,
    "latency-table": latency_table,
    "netadapt": netadapt,
    "report": report,
    "compare": compare,
}

app = command_line.new_app(
    "Train, evaluate and use efficient vision networks.", completion=True
)
for _name, _module in COMMANDS.items():
    command_line.register(app, _name, _module)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(mobilenets.__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, help="Print the version."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Runs `mobilenets`."""
    command_line.run(app)
