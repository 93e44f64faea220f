"""Ctrl-C and SIGTERM: the step is finished and saved before the process ends."""

import contextlib
import os
import signal

import jax
import orbax.checkpoint as ocp

from mobilenets.errors import UserError
from mobilenets.runtime import signals


class StopRequest:
    """Listens for a wish to stop while it is entered as a context.

    Several processes ask JAX's coordination service, which lets all of them stop after
    the same step when one gets SIGTERM. Ctrl-C on one of them is passed on as that.
    """

    def __init__(self):
        self.signal_number: int | None = None
        self._has_trained = False
        self._previous = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "StopRequest":
        if not self._stack.enter_context(signals.listening(self._note)):
            self._listen_in_python()
        return self

    def _listen_in_python(self) -> None:
        """Without a command around: a second signal does what it did before."""
        if jax.process_count() == 1:
            for number in signals.SIGNALS:
                self._previous[number] = signal.signal(number, self._note_once)

    def __exit__(self, kind: type[BaseException] | None, *_) -> None:
        self._stack.close()
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        ended_otherwise = kind and not issubclass(kind, (SystemExit, UserError))
        if ended_otherwise and self.signal_number is not None:
            signal.raise_signal(self.signal_number)  # for what comes next

    def _note_once(self, number: int, _) -> None:
        signal.signal(number, self._previous[number])
        self._has_trained = True  # Python calls this between steps
        self._note(number)

    def _note(self, number: int) -> None:
        if not self._has_trained:  # it compiles, perhaps for minutes
            signals.end(
                "Stopped before a step was trained. The same command starts again.",
                128 + number,
            )
        # Not print: the signal may have come in the middle of one.
        os.write(2, b"\nStopping after this step to save. Once more ends at once.\n")
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)  # JAX itself listens for that one
        self.signal_number = number

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal has ended."""
        return 128 + (self.signal_number or 0)

    def reached(self, step: int) -> bool:
        """Whether to stop after this step, the same on all processes."""
        self._has_trained = True
        if jax.process_count() == 1:
            return self.signal_number is not None
        if not ocp.utils.reached_preemption(step):
            return False
        self.signal_number = self.signal_number or signal.SIGTERM
        return True
