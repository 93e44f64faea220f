"""The command `mobilenets`; `train.py` and `eval.py` stand beside it."""

import sys
from typing import Annotated

import typer

import mobilenets
from mobilenets.errors import UserError

app = typer.Typer(
    help="Efficient vision networks in JAX. To train and evaluate: train.py, eval.py.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(mobilenets.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, help="Print the version."),
    ] = False,
) -> None:
    """Makes subcommands of what follows, be it one or many."""


@app.command()
def prepare(
    name: Annotated[
        str, typer.Argument(help="A data set of TensorFlow Datasets: imagenet2012.")
    ],
    data_dir: Annotated[
        str, typer.Option(help="Where to; by default ~/tensorflow_datasets.")
    ] = "",
    manual_dir: Annotated[
        str,
        typer.Option(
            help="Where the files are that cannot be downloaded; by default "
            "DATA_DIR/downloads/manual."
        ),
    ] = "",
) -> None:
    """Prepares a data set for training, as ArrayRecord files.

    ImageNet's two tars, ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, must be in
    the manual folder; their host asks for an account.

    Example: mobilenets prepare imagenet2012 --data-dir D --manual-dir TARS
    """
    from mobilenets.data.prepare import prepare as prepare_data_set

    prepare_data_set(name, data_dir, manual_dir)


def main() -> None:
    """Runs the command line; a `UserError` ends with its sentence and exit code 1."""
    try:
        app()
    except UserError as error:
        sys.exit(f"error: {error}")
