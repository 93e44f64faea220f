"""Workers as processes of their own: they are started, stopped and waited for."""

import contextlib
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

SECONDS_BETWEEN_LOOKS = 1.0

# Several processes share an accelerator: none may take all of its memory in advance.
_VARIABLES = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


class Workers:
    """Processes that run; see `started`.

    Args:
      logs: the folder of what they print.
      stopped: the signals that came.
    """

    def __init__(self, logs: pathlib.Path, stopped: list[signal.Signals]):
        self.logs = logs
        self._processes: list[subprocess.Popen] = []
        self._stopped = stopped

    @property
    def stopped(self) -> signal.Signals | None:
        """The signal that has stopped them, if any."""
        return self._stopped[-1] if self._stopped else None

    def start(self, command: Sequence[str], count: int) -> None:
        """Starts so many, each on its share of the cores.

        Args:
          command: the module and its arguments; the number of this process is added.
          count: how many.
        """
        for number in range(count):
            if self._stopped:
                return
            with share_of_cores(number, count) as variables:
                process = start_one(command, self.logs, number, variables)
            self._processes.append(process)

    def wait(self, look: Callable[[], None]) -> None:
        """Waits until all have ended, and looks every second what they have done."""
        while self.are_running():
            look()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        look()

    def are_running(self) -> bool:
        """Whether one has not ended."""
        return any(process.poll() is None for process in self._processes)

    def send(self, number: int) -> None:
        """Sends a signal to all."""
        for process in self._processes:
            process.send_signal(number)

    @property
    def deaths(self) -> str:
        """How those have ended that should not have; "" if all are well.

        It is in brackets, as the end of "as workers have died".
        """
        codes = [process.returncode for process in self._processes]
        ends = dict.fromkeys(_end(code) for code in codes if code)
        return f"({', '.join(ends)})" if ends else ""


@contextlib.contextmanager
def started(
    command: Sequence[str], count: int, logs: pathlib.Path
) -> Iterator[Workers]:
    """Starts workers, which are stopped when the block is left.

    Ctrl-C and SIGTERM are passed on to them, and so is a terminal that is closed, as
    SIGTERM. The caller learns it from `Workers.stopped`.

    Args:
      command: see `Workers.start`.
      count: how many.
      logs: a folder for what each prints.
    """
    came: list[signal.Signals] = []
    workers = Workers(logs, came)

    def forward(number: int, _: object) -> None:
        came.append(signal.Signals(number))
        with contextlib.suppress(OSError):  # of a terminal that is gone
            os.write(2, b"\nThe workers stop after this step and save.\n")
        workers.send(signal.SIGTERM if number == signal.SIGHUP else number)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, forward) for number in signals}
    try:
        workers.start(command, count)
        yield workers
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        workers.send(signal.SIGTERM)  # of a table that has failed, say


def _end(returncode: int) -> str:
    """How a process has ended that should not have.

    >>> _end(-9), _end(1)
    ('killed by SIGKILL', 'exit code 1')
    """
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


@contextlib.contextmanager
def share_of_cores(number: int, workers: int) -> Iterator[dict[str, str]]:
    """Processes started within have their own cores, where the system can bind them.

    Side by side on all cores, threads of one wait for threads of the other at every
    operation. Yields the variables with which XLA still divides its work among as many
    threads as there are cores: the results then are those of a process alone, to the
    bit.
    """
    try:
        cores = os.sched_getaffinity(0)
        own = sorted(cores)[number % len(cores) :: workers]
        os.sched_setaffinity(0, own)
    except (AttributeError, OSError):  # no Linux, or not allowed
        yield {}
        return
    try:
        yield {"NPROC": str(len(cores))}
    finally:
        os.sched_setaffinity(0, cores)


def start_one(
    command: Sequence[str],
    logs: pathlib.Path,
    number: int,
    variables: Mapping[str, str],
) -> subprocess.Popen:
    """A process of its own session, so that Ctrl-C reaches it through us, once."""
    logs.mkdir(exist_ok=True)
    log_name = f"{platform.node()}-{os.getpid()}-{number}.log"
    with (logs / log_name).open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *command, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**_VARIABLES, **variables, **os.environ},
            start_new_session=True,
        )
