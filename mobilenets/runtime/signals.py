"""Ctrl-C and SIGTERM in a command, also while native code compiles or waits.

Python calls its handlers between two of its own instructions: one that waits in native
code, for a compiler or for another process, hears nothing. But the numbers of signals
are written to a pipe at once, which a thread reads.
"""

import contextlib
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

# `timeout` sends its signal to the process and again to its group: that is one signal.
_SAME_SECONDS = 0.5

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_heard: dict[int, float] = {}  # when a listener was given a signal of that number
_listeners: list[Callable[[int], None]] = []
_watching = threading.Event()


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """A signal ends this process with "Stopped." and 128 + its number.

    Unless somebody listens: then the second one does. The same one within half a
    second is not a second one.
    Handlers that others install meanwhile are left to do their work. Only for the main
    thread of a command.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    previous = {number: signal.signal(number, _to_the_pipe) for number in SIGNALS}
    previous_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(reader,), daemon=True)
    thread.start()
    _watching.set()
    try:
        yield
    finally:
        _watching.clear()
        signal.set_wakeup_fd(previous_writer)
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(writer)  # which ends the thread
        thread.join()


@contextlib.contextmanager
def listening(listener: Callable[[int], None]) -> Iterator[bool]:
    """Gives the first signal to a function, called in another thread.

    Yields:
      Whether it can be: only within `ending_at_once`.
    """
    _listeners.append(listener)
    try:
        yield _watching.is_set()
    finally:
        if listener in _listeners:
            _listeners.remove(listener)
        _heard.clear()  # what comes now is meant for what comes next


def end(sentence: str, code: int) -> NoReturn:
    """Ends this process at once: it may wait in native code, which cannot be left.

    Args:
      sentence: to print on stderr; "" if all is said.
      code: the exit code.
    """
    if sentence:
        os.write(2, f"\n{sentence}\n".encode())
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)


def _to_the_pipe(number: int, _: object) -> None:
    """A handler that does nothing: with one, the number is written to the pipe."""


def _watch(reader: int) -> None:
    """Reads the numbers of signals until the pipe is closed."""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while numbers := pipe.read(1):
            (number,) = numbers
            if number not in SIGNALS or signal.getsignal(number) is not _to_the_pipe:
                continue
            if _listeners:
                _listeners.pop()(number)
                _heard[number] = time.monotonic()
            elif time.monotonic() - _heard.get(number, -math.inf) > _SAME_SECONDS:
                end("Stopped.", 128 + number)
