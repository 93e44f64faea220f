"""Safetensors, https://github.com/huggingface/safetensors."""

import math
import pathlib

import numpy as np
import safetensors

from mobilenets.errors import UserError
from mobilenets.pretrained.formats.arrays import from_bfloat16, widened

_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "BF16": "<u2",  # its bits; NumPy has no bfloat16
    "F32": "<f4",
    "F64": "<f8",
}


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name.

    Raises:
      UserError: an array has a type that NumPy lacks, such as float8.
    """
    state = {}
    for name, array in safetensors.deserialize(path.read_bytes()):
        dtype = array["dtype"]
        if dtype not in _DTYPES:
            raise UserError(
                f"{path} holds {name} as {dtype}, which cannot be read: save it as one "
                f"of {', '.join(_DTYPES)}."
            )
        values = np.frombuffer(
            array["data"], _DTYPES[dtype], math.prod(array["shape"])
        ).reshape(array["shape"])
        state[name] = from_bfloat16(values) if dtype == "BF16" else widened(values)
    return state
