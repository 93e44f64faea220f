"""JSON files that somebody else may have written: regular, of a bounded size, JSON."""

import json
import os
import pathlib
import stat
from typing import Any

from mobilenets.errors import UserError

# A description of 20,000 classes has half a megabyte.
LARGEST = 64 * 2**20  # bytes


def load(path: pathlib.Path) -> Any:
    """The value in a JSON file.

    Raises:
      UserError: there is no such file, it is no regular file (a pipe or a device might
        never end), it is too large, or it is no JSON.
    """
    try:
        return json.loads(_read(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except RecursionError:
        raise UserError(f"{path} is not JSON: it is nested too deeply.") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}.") from None


def _read(path: pathlib.Path) -> bytes:
    # Without O_NONBLOCK, to open a pipe waits for who writes into it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path} is not a regular file: give a JSON file.")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UserError(
            f"{path} has more than {LARGEST // 2**20} MB, and is no such file: it is "
            "damaged, or another one."
        )
    return content
