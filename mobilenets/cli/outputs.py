"""The files that a command writes: found to be writable before minutes of work."""

import os
import pathlib
from collections.abc import Mapping

from mobilenets.errors import UserError


def check(
    files: Mapping[str, pathlib.Path | None], ours: pathlib.Path | None = None
) -> None:
    """Makes sure that each file can be written, and that nothing is overwritten.

    Args:
      files: by option; None where it was not given. Missing folders are made.
      ours: a file that may be overwritten, since the command itself named it.

    Raises:
      UserError: a file exists already, two options name the same one, or the folder
        cannot be written.
    """
    options: dict[pathlib.Path, str] = {}
    for option, file in files.items():
        if file is None:
            continue
        other = options.setdefault(file.resolve(), option)
        if other != option:
            raise UserError(f"--{other} and --{option} are both {file}: give two.")
        if file.exists() and file != ours:
            raise UserError(f"{file} exists already: give another --{option}.")
        _make_folder(option, file)


def _make_folder(option: str, file: pathlib.Path) -> None:
    folder = file.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(
            f"Cannot write --{option} {file}: it would be in a file."
        ) from None
    except OSError as error:
        raise UserError(f"Cannot write --{option} {file}: {error.strerror}.") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"Cannot write --{option} {file}: {folder} is not writable.")
