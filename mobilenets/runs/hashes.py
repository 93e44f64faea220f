"""Hashes of what is saved, by which damage is found."""

import hashlib
import json
from typing import Any

import jax
import numpy as np


def of_arrays(tree: Any) -> dict[str, str]:
    """The SHA-256 of each array of a tree by its path, such as "params/stem/kernel".

    It covers type, shape and values. Each array must be whole on this process, as the
    replicated state of a training is, also where several processes share it.
    """
    leaves = jax.tree.leaves_with_path(jax.device_get(tree))
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): _of_array(leaf)
        for path, leaf in leaves
    }


def _of_array(array: Any) -> str:
    array = np.asarray(array)
    digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def of_json(value: Any) -> str:
    """The SHA-256 of a JSON value, however it is written."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
