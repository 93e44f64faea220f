"""What one process of several does for all of them."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from mobilenets.errors import UserError

_LONGEST = 8192  # bytes of a sentence
_PATIENCE_SECONDS = 10


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Says what this process waits for, if that takes longer than ten seconds."""

    def say() -> None:
        print(f"Still waiting for {what} …", file=sys.stderr, flush=True)

    timer = threading.Timer(_PATIENCE_SECONDS, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def on_first(function: Callable[[], None]) -> None:
    """Calls a function on the first process, for which the others wait.

    Raises:
      UserError: on all processes, what it raises on the first.
    """
    if jax.process_count() == 1:
        function()
        return
    sentence = ""
    try:
        if jax.process_index() == 0:
            function()
    except UserError as error:
        sentence = str(error)
    except BaseException as error:
        _from_first(f"The first process has ended with {type(error).__name__}.")
        raise
    with waiting("the first process, which checks the workdir"):
        sentence = _from_first(sentence)
    if sentence:
        raise UserError(sentence)


def _from_first(text: str) -> str:
    """The text that the first process gives, on all of them."""
    given = np.zeros(_LONGEST, np.uint8)
    encoded = text.encode()[:_LONGEST]
    given[: len(encoded)] = np.frombuffer(encoded, np.uint8)
    received = np.asarray(multihost_utils.broadcast_one_to_all(given), np.uint8)
    return received.tobytes().rstrip(b"\0").decode(errors="ignore")
