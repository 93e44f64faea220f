"""What a process does before it computes."""

import logging
import os
import sys
from typing import Any

import absl.logging

from mobilenets.runtime import compilation_cache, host_memory


def silence_tensorflow() -> None:
    """Has TensorFlow tell of no more than errors; to be called before it is imported.

    What it logs as it starts, which instructions it was compiled for and which GPUs it
    finds, is of no use where it only reads and writes files.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # else it says that it uses it


def prepare_jax() -> None:
    """For a process that is ours alone: a script or a command.

    Libraries no longer tell of their own work, only of errors, and of no error twice;
    what is compiled is kept; and memory comes in huge pages.

    Raises:
      UserError: see `compilation_cache.use`.
    """
    absl.logging.set_verbosity(absl.logging.ERROR)
    logging.getLogger("absl").addFilter(is_not_raised_too)
    logging.getLogger("jax").setLevel(logging.ERROR)
    sys.unraisablehook = _print_unraisable
    compilation_cache.use()
    host_memory.use_huge_pages()


def is_not_raised_too(record: logging.LogRecord) -> bool:
    """Whether it is not what Orbax logs of its threads and raises where it waits."""
    return not record.exc_info or record.module not in ("future", "async_checkpointer")


def _print_unraisable(unraisable: Any) -> None:
    """As Python does, but for what only follows from an error that is told anyway.

    Orbax closes its event loop when one array of a checkpoint cannot be read. Threads
    of TensorStore that have read the others find it closed, and print a traceback each.
    """
    error = unraisable.exc_value
    if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
        sys.__unraisablehook__(unraisable)
