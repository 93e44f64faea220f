"""`mobilenets prepare`."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import absl.logging
import typer

from mobilenets.cli.command_line import examples
from mobilenets.errors import UserError

if TYPE_CHECKING:
    from mobilenets.data.packing import Packed

# What messages about data sets say for a config, and what is said here.
_WORDS = {
    "--config.dataset.folder=FOLDER": "--folder FOLDER",
    "dataset.folder": "--folder",
    "dataset.table": "--table",
    ", or to dataset.images": "",
    "For several labels per image, give task.name=multilabel.": "Tables with several "
    "labels per image cannot be packed; training reads them as they are.",
}

EPILOG = examples(
    "mobilenets prepare imagenet2012 --data-dir D --manual-dir TARS",
    "mobilenets prepare --folder photos --data-dir D",
    "mobilenets prepare --table labels.csv --data-dir D",
)


def command(
    name: Annotated[
        str,
        typer.Argument(
            help="The name of a data set in TensorFlow Datasets, or the folder of one "
            "in TFRecord files.",
            show_default=False,
        ),
    ] = "",
    folder: Annotated[
        str,
        typer.Option(
            help="Your own images, as FOLDER/CLASS/*.jpg or FOLDER/SPLIT/CLASS/*.jpg.",
        ),
    ] = "",
    table: Annotated[
        str,
        typer.Option(help="Your own images, as a CSV or Parquet file lists them."),
    ] = "",
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
    """Write a data set as ArrayRecord files.

    Of TensorFlow Datasets by its name, or your own images. For imagenet2012, put
    ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar into the manual folder;
    downloading them needs an account.
    """
    if len([given for given in (name, folder, table) if given]) != 1:
        raise UserError(
            "Give one of these: the NAME of a data set, --folder or --table."
        )
    from mobilenets.runtime import start_up

    start_up.silence_tensorflow()
    absl.logging.set_verbosity(absl.logging.ERROR)
    if manual_dir and not name:
        raise UserError("--manual-dir is for a data set by its NAME: leave it out.")
    with _in_words_of_options():
        if name:
            from mobilenets.data.prepare import prepare as prepare_data_set

            prepare_data_set(name, data_dir, manual_dir)
        else:
            _tell(_packed(folder, table, data_dir))


@contextlib.contextmanager
def _in_words_of_options() -> Iterator[None]:
    """Errors speak of the options of this command, see `_WORDS`."""
    try:
        yield
    except UserError as error:
        message = str(error)
        for of_config, ours in _WORDS.items():
            message = message.replace(of_config, ours)
        raise UserError(message) from None


def _packed(folder: str, table: str, data_dir: str) -> "Packed":
    """The data set made of the user's own images."""
    from mobilenets.data import packing
    from mobilenets.runtime.console import progress_bar

    opened = packing.open_folder(folder) if folder else packing.open_table(table)
    directory = packing.directory_of(data_dir, folder or table)
    images = sum(map(len, opened.values()))
    with progress_bar("reading", images) as on_image:
        return packing.pack(opened, directory, on_image)


def _tell(packed: "Packed") -> None:
    """Prints what was written, and which files could not be read."""
    for line in packed.broken:
        print(f"warning: {line}", file=sys.stderr)
    for split, size in packed.sizes.items():
        print(f"{split}: {size:,} examples")
    if packed.broken:
        print(f"Images left out, as they cannot be read: {len(packed.broken):,}.")
    print(f"Prepared: {packed.directory}")
    slices = (
        " --config.dataset.train_split='train[:80%]'"
        " --config.dataset.eval_split='train[80%:]'"
    )
    undivided = [*packed.sizes] == ["train"]
    print(f"Give --config.dataset.directory={packed.directory}{slices * undivided}")
