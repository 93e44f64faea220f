"""Preparing a data set of TensorFlow Datasets for random access."""

import importlib.util
import pathlib

import tensorflow_datasets as tfds

from mobilenets.data.sources import embedded
from mobilenets.data.sources.tfds import needs_conversion, tfds_builder
from mobilenets.errors import UserError


def prepare(name: str, data_dir: str, manual_dir: str) -> None:
    """Downloads what can be downloaded and writes the data set as ArrayRecord files.

    Args:
      name: of the data set.
      data_dir: the folder of all data sets; "": TFDS's own.
      manual_dir: holds what the user must download; "": data_dir/downloads/manual.

    Raises:
      UserError: there is no such data set, TensorFlow is not installed, or files that
        must be downloaded by hand are missing.
    """
    if name in embedded.NAMES:
        raise UserError(f"{name} is embedded: it needs no preparation.")
    prepared = tfds_builder(name, data_dir)
    if prepared.info.splits:
        if prepared.info.file_format.value != "array_record":
            raise needs_conversion(prepared)
        print(f"{name} is prepared already: {prepared.data_dir}")
        return
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "Preparing a data set needs TensorFlow: pip install '.[prepare]'."
        )
    if manual_dir and not pathlib.Path(manual_dir).is_dir():
        raise UserError(f"--manual-dir {manual_dir} is not a folder.")
    import tensorflow as tf

    builder = tfds_builder(name, data_dir, file_format="array_record")
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir or None)
        )
    # What TFDS raises where a file of the manual folder is missing.
    except (AssertionError, FileNotFoundError, tf.errors.NotFoundError) as error:
        raise UserError(
            f"{name} cannot be prepared: {' '.join(str(error).split())}"
        ) from None
    print(f"Prepared: {builder.data_dir}")
