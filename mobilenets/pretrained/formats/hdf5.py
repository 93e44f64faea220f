"""HDF5 files, of which nothing is read that is not in the file itself.

Attributes are not read at all: Keras has strings of any length in them, on which the
HDF5 library (as of 1.14) never ends or crashes where a file is damaged.
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from mobilenets.errors import UserError
from mobilenets.pretrained.formats.arrays import check_size, from_bfloat16, widened

# Groups within groups: Keras needs a few for each model that is a layer of another.
_DEEPEST = 100


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a file has in it, by its path without a leading slash; "" is the root."""

    groups: dict[str, h5py.Group]
    datasets: dict[str, h5py.Dataset]


def contents(file: h5py.File, path: pathlib.Path) -> Contents:
    """What is in a file; what its links to other places lead to is not.

    Args:
      file: is open.
      path: of it, or of the archive that it is in.

    Raises:
      UserError: a data set is in another file, or all are too large to be in this one.
    """
    found = Contents({"": file}, {})
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    seen = {_address(file)}
    while waiting:
        name, group = waiting.pop()
        for key, item in _items(group):
            if (address := _address(item)) in seen:
                continue  # a second link to it, perhaps from within itself
            seen.add(address)
            inner = f"{name}/{key}".lstrip("/")
            if isinstance(item, h5py.Dataset):
                found.datasets[inner] = item
            elif isinstance(item, h5py.Group):
                if inner.count("/") > _DEEPEST:
                    raise ValueError("its groups are nested too deeply")
                found.groups[inner] = item
                waiting.append((inner, item))
    datasets = found.datasets.values()
    if any(dataset.external or dataset.is_virtual for dataset in datasets):
        raise UserError(
            f"{path} refers to weights in other files, which is not supported: "
            "save the model again."
        )
    check_size(path, sum(map(_size, datasets)))
    return found


def _size(dataset: h5py.Dataset) -> int:
    """Bytes that it takes to read a data set, of which each chunk is read whole."""
    elements = max(math.prod(dataset.shape), math.prod(dataset.chunks or (0,)))
    return elements * dataset.dtype.itemsize


def _items(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """What is in a group itself, not behind a link to another place."""
    for key in map(str, group):
        if isinstance(group.get(key, getlink=True), h5py.HardLink):
            yield key, group[key]


def _address(item: Any) -> int:
    """Where an object is in the file."""
    get_info = h5py.h5o.get_info  # pyright: ignore[reportAttributeAccessIssue]
    return get_info(item.id).addr


def array(dataset: h5py.Dataset) -> np.ndarray:
    """The numbers in a data set; float16 and bfloat16 as float32.

    Raises:
      ValueError: what is in it are no numbers.
    """
    is_bfloat16 = dataset.dtype == np.dtype("V2")  # HDF5 has none: Keras writes bytes
    if dataset.dtype.kind not in "biuf" and not is_bfloat16:
        raise ValueError(f"{dataset.name} holds no numbers")
    values = np.asarray(dataset[()])
    return from_bfloat16(values.view(np.uint16)) if is_bfloat16 else widened(values)
