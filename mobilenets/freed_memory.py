"""Memory that is free but still the process's."""

import ctypes
import sys


def give_back() -> None:
    """Gives memory that is freed back to the system, where that takes asking.

    Compiling a training step takes several hundred MB. The C library of Linux keeps
    them for the process, which never needs as much again.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc, not of musl
    if trim is not None:
        trim(0)
