"""Drives the sides: one process each, one measurement at a time, in changing order."""

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent
# Thread pools spin for a moment after their last work.
SECONDS_BETWEEN_TURNS = 0.1

# Several processes share an accelerator: none may take all of its memory in advance.
_SHARED_ACCELERATOR = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


class FailedError(Exception):
    """A side cannot go on; the message is what the tables say of it."""


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A side and the command that starts its process."""

    name: str
    command: tuple[str, ...]
    install: str = ""  # what to do when a package is missing
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Measurement:
    """What one side gave for one workload.

    Args:
      rounds: the seconds of each call, in each round.
      peak_bytes: the highest use of memory; None if it was not measured.
      failure: why there are no more rounds; empty if there are all.
    """

    rounds: list[list[float]] = dataclasses.field(default_factory=list)
    peak_bytes: int | None = None
    failure: str = ""

    def __add__(self, other: "Measurement") -> "Measurement":
        """The rounds of both, the higher peak and the first failure."""
        peaks = [m.peak_bytes for m in (self, other) if m.peak_bytes is not None]
        return Measurement(
            rounds=self.rounds + other.rounds,
            peak_bytes=max(peaks, default=None),
            failure=self.failure or other.failure,
        )


class Process:
    """A side that runs. It answers each request by one line of JSON.

    Raises:
      FailedError: the side cannot start.
    """

    def __init__(self, contestant: Contestant):
        self._errors = tempfile.TemporaryFile()
        self._built: tuple[str, Any] | None = None
        variables = {"PYTHONPATH": str(ROOT)} | _SHARED_ACCELERATOR
        self._process = subprocess.Popen(
            contestant.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | variables | dict(contestant.variables),
        )
        try:
            hello = self._answer()
            if "missing" in hello:
                package = hello["missing"]
                raise FailedError(f"not installed: {package}; {contestant.install}")
        except BaseException:  # Ctrl-C, too: nobody else knows the process yet
            self.close()
            raise
        self.versions: dict[str, str] = hello["versions"]
        self.device: dict[str, str] = hello["device"]

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Waits for the answer.

        Raises:
          FailedError: the process has ended.
        """
        assert self._process.stdin
        # Without a reader there is no answer either, and that error says why.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do} | request) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def build(self, task: str, workload: Any) -> None:
        """Prepares a workload and warms up, unless it is there already."""
        if self._built != (task, workload):
            self.ask("build", task=task, workload=dataclasses.asdict(workload))
            self._built = (task, workload)

    def close(self) -> None:
        """Ends the process at once: nothing in it is worth saving."""
        assert self._process.stdin and self._process.stdout
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):  # what it has not read is lost
            self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        code = self._process.wait()
        if code < 0:  # killed, for its memory perhaps: it has not said why
            raise FailedError(f"ended by signal {-code}")
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").split("\n")
        lines = [text.strip() for text in said if text.strip()]
        # JAX adds notes of its own below the exception.
        exceptions = [
            line for line in lines if re.match(r"[\w.]+(Error|Exception)(:|$)", line)
        ]
        if code and lines:
            raise FailedError(f"crashed: {(exceptions or lines)[-1]}")
        raise FailedError(f"ended with exit code {code} and no answer")


class Session:
    """The running sides of a benchmark; a context, at whose end they are ended.

    Args:
      contestants: who is compared.
      one_at_a_time: ends each process after its turn: for a device that only one
        process can hold, such as a TPU.
      tell: is given a line for each stage of the work.
    """

    def __init__(
        self,
        contestants: Iterable[Contestant],
        one_at_a_time: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ):
        self._contestants = {c.name: c for c in contestants}
        self._one_at_a_time = one_at_a_time
        self._tell = tell
        self._running: dict[str, Process] = {}
        self._never_started: dict[str, str] = {}  # and why
        self._order = random.Random(0)
        self.versions: dict[str, dict[str, str]] = {}
        self.devices: dict[str, dict[str, str]] = {}

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.restart()

    def restart(self) -> None:
        """Ends all processes; what follows runs in new ones."""
        while self._running:
            self._running.popitem()[1].close()

    @property
    def names(self) -> list[str]:
        """Those of the contestants."""
        return list(self._contestants)

    def ask_new(self, name: str, do: str, **request: Any) -> dict[str, Any]:
        """Asks a process that is started for it and ended after it.

        Raises:
          FailedError: it cannot start, or has ended without an answer.
        """
        self._start(name)
        try:
            return self._running[name].ask(do, **request)
        finally:
            self._running.pop(name).close()

    def compare(
        self,
        task: str,
        workload: Any,
        repeats: int,
        seconds: float,
        with_memory: bool = False,
    ) -> dict[str, Measurement]:
        """Measures a workload on all sides, round by round.

        The order changes from round to round, so that no side always follows the same
        one. A side that fails is left out of what follows and disturbs no other.

        Args:
          task: a key of `workloads.TASKS`.
          workload: of the task's type.
          repeats: the number of rounds.
          seconds: a turn goes on until its calls have taken so long.
          with_memory: whether to measure the memory of a step, too.

        Returns:
          By the names of the contestants, in their order.
        """
        results = {name: Measurement() for name in self._contestants}

        def turn(name: str, *request: str, **values: Any) -> dict[str, Any] | None:
            if results[name].failure:
                return None
            try:
                with self._turn(name) as process:
                    process.build(task, workload)
                    return process.ask(*request, **values) if request else None
            except FailedError as error:
                results[name].failure = str(error)

        for name in results:
            self._tell(f"{name} warms up")
            turn(name)
        for number in range(1, repeats + 1):
            self._tell(f"round {number} of {repeats}")
            for name in self._order.sample(list(results), len(results)):
                if answer := turn(name, "measure", seconds=seconds):
                    results[name].rounds.append(answer["seconds"])
        for name in results if with_memory else ():
            if answer := turn(name, "peak_memory"):
                results[name].peak_bytes = answer["bytes"]
        return results

    @contextlib.contextmanager
    def _turn(self, name: str) -> Iterator[Process]:
        """Gives the side's process, started if it is not running."""
        if name not in self._running:
            self._start(name)
        time.sleep(SECONDS_BETWEEN_TURNS)
        try:
            yield self._running[name]
        except FailedError:
            self._running.pop(name).close()
            raise
        if self._one_at_a_time:
            self._running.pop(name).close()

    def _start(self, name: str) -> None:
        if name in self._never_started:
            raise FailedError(self._never_started[name])
        try:
            process = Process(self._contestants[name])
        except FailedError as error:
            self._never_started[name] = str(error)
            raise
        self._running[name] = process
        self.versions[name] = process.versions
        self.devices[name] = process.device
