"""From the TFRecord files of a prepared data set to ArrayRecord files beside them."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from tensorflow_datasets.core import dataset_info

from mobilenets.data import shards
from mobilenets.errors import UserError

_FORMAT = "array_record"


def convert(builder: Any, on_example: Callable[[], None] = lambda: None) -> None:
    """Writes each file of records anew, and adds the format to the data set's own.

    The examples stay what they are. A conversion that was killed continues with the
    first file that is not complete.

    Args:
      builder: of the prepared data set, in TFRecord files.
      on_example: called after each example, for a progress bar.

    Raises:
      UserError: a file is damaged or has another number of examples than it should.
    """
    for split in builder.info.splits.values():
        template = split.filename_template
        for index, length in enumerate(split.shard_lengths):
            place = {"shard_index": index, "num_shards": split.num_shards}
            old = pathlib.Path(template.sharded_filepath(**place))
            new = template.replace(filetype_suffix=_FORMAT).sharded_filepath(**place)
            _convert_file(old, pathlib.Path(new), length, on_example)
    _add_format(pathlib.Path(builder.data_dir))


def _convert_file(
    old: pathlib.Path, new: pathlib.Path, length: int, on_example: Callable[[], None]
) -> None:
    if new.exists() and shards.count(new) == length:
        for _ in range(length):
            on_example()
        return
    with _damage(old):
        count = shards.write(new, _examples(old, on_example))
    if count != length:
        new.unlink()
        raise UserError(
            f"{old} has {count:,} examples, but should have {length:,}: it is damaged. "
            "Remove the folder and prepare the data set again."
        )


def _examples(path: pathlib.Path, on_example: Callable[[], None]) -> Iterator[bytes]:
    """The serialised examples of a TFRecord file."""
    import tensorflow as tf

    examples: Any = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    for example in examples:
        yield example
        on_example()


@contextlib.contextmanager
def _damage(path: pathlib.Path) -> Iterator[None]:
    """Says in a sentence that a file is missing or damaged."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} cannot be read: {reason}. Remove the folder and prepare the data "
            "set again."
        ) from None


def _add_format(folder: pathlib.Path) -> None:
    """Says in dataset_info.json that there are files of ArrayRecord, too."""
    info = dataset_info.read_proto_from_builder_dir(folder)
    info.alternative_file_formats.append(_FORMAT)
    unfinished = folder / ".unfinished"
    unfinished.mkdir(exist_ok=True)
    dataset_info.write_dataset_info_proto(info, dataset_info_dir=unfinished)
    name = "dataset_info.json"
    (unfinished / name).replace(folder / name)
    unfinished.rmdir()
