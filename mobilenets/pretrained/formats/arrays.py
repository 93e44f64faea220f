"""What all formats share: half precision is widened, and sizes have a limit."""

import pathlib

import numpy as np

from mobilenets.errors import UserError

# Weights hardly compress. A file that unpacks to a hundred times its size, and to more
# than a small one may, is damaged or was made to fill the memory.
_LARGEST_EXPANSION = 100
_SMALL_FILE = 2**20  # bytes


def widened(array: np.ndarray) -> np.ndarray:
    """The array, as float32 where it is float16 or bfloat16: exact, both ways."""
    is_half = array.dtype.name in ("float16", "bfloat16")
    return array.astype(np.float32) if is_half else array


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The float32 values of bfloat16 numbers, which are their upper 16 bits.

    Args:
      bits: [...] uint16.

    >>> from_bfloat16(np.array([0x3F80, 0xC020], np.uint16)).tolist()
    [1.0, -2.5]
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)


def check_size(path: pathlib.Path, size: int) -> None:
    """Raises a UserError if the arrays of a file are too large to be in it.

    Args:
      path: the file.
      size: bytes of all arrays, as the file says.
    """
    if size > _LARGEST_EXPANSION * max(path.stat().st_size, _SMALL_FILE):
        raise UserError(
            f"{path} says that it unpacks to {size:,} bytes, which cannot be in it: it "
            "is damaged, or made to fill the memory. Download it again from a source "
            "you trust."
        )
