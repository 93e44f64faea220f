"""Ctrl-C and SIGTERM: the step is finished and saved before the process ends."""

import os
import signal

import jax
import orbax.checkpoint as ocp

from mobilenets.errors import UserError


class StopRequest:
    """Listens for a wish to stop while it is entered as a context.

    One process listens for the signals itself; several ask JAX's coordination service,
    which lets all of them stop after the same step when one gets SIGTERM.
    """

    def __init__(self):
        self.signal_number: int | None = None
        self._previous = {}

    def __enter__(self) -> "StopRequest":
        if jax.process_count() == 1:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        ended_otherwise = kind and not issubclass(kind, (SystemExit, UserError))
        if ended_otherwise and self.signal_number is not None:
            signal.raise_signal(self.signal_number)  # for what comes next

    def _note(self, number: int, _) -> None:
        self.signal_number = number
        # A second signal of the kind ends the process at once.
        signal.signal(number, self._previous[number])
        # Not print: the signal may have come in the middle of one.
        os.write(2, b"\nStopping after this step to save. Once more ends at once.\n")

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal has ended."""
        return 128 + (self.signal_number or 0)

    def reached(self, step: int) -> bool:
        """Whether to stop after this step."""
        if jax.process_count() > 1 and ocp.utils.reached_preemption(step):
            self.signal_number = signal.SIGTERM
        return self.signal_number is not None
