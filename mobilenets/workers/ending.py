"""How a worker's process ends: by a signal, or as the command that started it."""

import os
import signal
import sys

# Signals that came while nobody listened for them.
_stops: list[int] = []


def by_signals() -> None:
    """Has Ctrl-C and SIGTERM end this process by SystemExit, between two jobs too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def _stop(number: int, _: object) -> None:
    _stops.append(number)
    sys.exit(128 + number)


def if_stopped(parent: int) -> None:
    """Ends where `_stop` could not: Python ignores what is raised in a finalizer.

    And if the parent has gone: who starts the command again has no more workers than
    asked for.

    Args:
      parent: the process that has started this one.
    """
    if _stops:
        sys.exit(128 + _stops[0])
    if os.getppid() != parent:
        sys.exit("error: the command that started this worker is gone.")
