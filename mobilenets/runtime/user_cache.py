"""The folder for what can be fetched or compiled again."""

import os
import pathlib


def folder(name: str) -> pathlib.Path:
    """A folder in ~/.cache/mobilenets, or in that of XDG_CACHE_HOME.

    Raises:
      RuntimeError: the user has no home.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(cache).expanduser() / "mobilenets" / name
