"""How long the loading of an image takes, by stage, in the thread that loads it.

It is measured where the work is done, in threads and worker processes, and travels with
the examples. Two readings of the clock for each stage are all that it costs.
"""

import functools
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

STAGES = ("reading", "decoding", "augmentation")

# The key of an example's seconds, [stages] float32.
SECONDS = "seconds"

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Decoding(threading.local):
    seconds = 0.0  # of this thread, until now


_decoding = _Decoding()


def as_decoding(function: _Function) -> _Function:
    """The function, whose time counts as decoding from now on."""

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            _decoding.seconds += time.perf_counter() - start

    return timed  # pyright: ignore[reportReturnType]: of the same signature


def load(
    read: Callable[[], Any], make: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """An example with its "seconds"; what is not reading or decoding is augmentation.

    Args:
      read: gives a record.
      make: makes the example of it.
    """
    start = time.perf_counter()
    record = read()
    has_read, decoded = time.perf_counter(), _decoding.seconds
    example = make(record)
    decoding = _decoding.seconds - decoded
    augmentation = time.perf_counter() - has_read - decoding
    seconds = np.array([has_read - start, decoding, augmentation], np.float32)
    return {**example, SECONDS: seconds}
