"""Weights in several files, and the index that says which array is in which.

"model.safetensors.index.json" and "pytorch_model.bin.index.json", as Hugging Face's
libraries write them for large models: {"weight_map": {name: file}}.
"""

import pathlib
import re
from collections.abc import Callable

import numpy as np

from mobilenets.config import json_files
from mobilenets.errors import UserError

SUFFIX = ".index.json"
_PART = re.compile(r"-\d{5}-of-(?!00001)\d{5}$")


def read(
    path: pathlib.Path, read_file: Callable[[pathlib.Path], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The arrays of all files that an index names.

    Args:
      path: of the index.
      read_file: reads one of the files, which are in its folder.

    Raises:
      UserError: it is no such index, names a file elsewhere, or an array is not in the
        file that it names.
    """
    index = json_files.load(path)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places:
        raise UserError(f"{path} is no index of weights: it has no weight_map.")
    files = dict.fromkeys(map(str, places.values()))
    for name in files:
        if pathlib.PurePath(name).name != name or name.endswith(SUFFIX):
            raise UserError(
                f"{path} names {name!r}, which is not a file of weights beside it."
            )
    content = {name: read_file(path.with_name(name)) for name in files}
    for key, name in places.items():
        if key not in content[str(name)]:
            raise UserError(f"{path} says that {key} is in {name}, but it is not.")
    return {key: content[str(name)][key] for key, name in places.items()}


def refuse_part(path: pathlib.Path) -> None:
    """Raises UserError if the file is one of several, whose index is beside it."""
    stem, dot, suffix = path.name.rpartition(".")
    if not _PART.search(stem):
        return
    index = path.with_name(f"{_PART.sub('', stem)}{dot}{suffix}{SUFFIX}")
    raise UserError(f"{path} has only a part of the weights: give the index, {index}.")
