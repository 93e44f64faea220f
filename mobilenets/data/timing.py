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
_AUGMENTATION = STAGES.index("augmentation")

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


def change(
    batch: dict[str, Any], function: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """What a function makes of a batch; its time is added to the "seconds".

    Args:
      batch: of examples of `load`.
      function: a part of the augmentation; it leaves the "seconds" as they are.
    """
    start = time.perf_counter()
    changed = function(batch)
    seconds = changed[SECONDS].copy()
    # They are summed up over the batch, so that any of its examples can have them.
    seconds[0, _AUGMENTATION] += time.perf_counter() - start
    return {**changed, SECONDS: seconds}
