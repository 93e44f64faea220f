"""`mobilenets prepare`."""

from typing import Annotated

import absl.logging
import typer

from mobilenets.cli.command_line import examples

EPILOG = examples("mobilenets prepare imagenet2012 --data-dir D --manual-dir TARS")


def command(
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
    """
    from mobilenets.runtime import start_up

    start_up.silence_tensorflow()
    absl.logging.set_verbosity(absl.logging.ERROR)
    from mobilenets.data.prepare import prepare as prepare_data_set

    prepare_data_set(name, data_dir, manual_dir)
