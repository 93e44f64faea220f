"""Files of ArrayRecord: written as a whole or not at all, and counted."""

import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any


def write(path: pathlib.Path, examples: Iterable[bytes]) -> int:
    """Writes a file under its name when it is complete.

    A process that is killed leaves no half of it, nor does a machine that loses its
    power.

    Args:
      path: of the file.
      examples: serialised, in the order of their numbers.

    Returns:
      How many there are.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    count = 0

    def numbered() -> Iterator[tuple[int, bytes]]:
        nonlocal count
        for example in examples:
            yield count, example
            count += 1

    _adapter().write_examples(unfinished, numbered())
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)
    return count


def count(path: pathlib.Path) -> int:
    """How many examples a file holds, as its own index says.

    Raises:
      RuntimeError, OSError: it is no complete file of ArrayRecord.
    """
    return _adapter().num_examples(path)


def _adapter() -> Any:
    from tensorflow_datasets.core import file_adapters

    return file_adapters.ADAPTER_FOR_FORMAT[file_adapters.FileFormat.ARRAY_RECORD]
