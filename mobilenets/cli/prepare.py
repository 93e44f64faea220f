"""`mobilenets prepare`."""

from typing import Annotated

import absl.logging
import typer

from mobilenets.cli.command_line import examples

EPILOG = examples("mobilenets prepare imagenet2012 --data-dir D --manual-dir TARS")


def command(
    name: Annotated[
        str, typer.Argument(help="The name of a data set in TensorFlow Datasets.")
    ],
    data_dir: Annotated[
        str, typer.Option(help="Where to write it. Default: ~/tensorflow_datasets.")
    ] = "",
    manual_dir: Annotated[
        str,
        typer.Option(
            help="Where files that must be downloaded by hand are. Default: "
            "DATA_DIR/downloads/manual."
        ),
    ] = "",
) -> None:
    """Prepare a data set of TensorFlow Datasets.

    Writes ArrayRecord files. For imagenet2012, put ILSVRC2012_img_train.tar and
    ILSVRC2012_img_val.tar into the manual folder; downloading them needs an account.
    """
    from mobilenets.runtime import start_up

    start_up.silence_tensorflow()
    absl.logging.set_verbosity(absl.logging.ERROR)
    from mobilenets.data.prepare import prepare as prepare_data_set

    prepare_data_set(name, data_dir, manual_dir)
