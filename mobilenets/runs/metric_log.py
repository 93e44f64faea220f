"""Metrics over time: JSON lines and TensorBoard events."""

import contextlib
import json
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import (
    Event,  # pyright: ignore[reportAttributeAccessIssue]: made as it is imported
    SessionLog,  # pyright: ignore[reportAttributeAccessIssue]
)
from tensorboardX.summary import scalar

from mobilenets.errors import UserError
from mobilenets.runs.workdir import Workdir, replace_file
from mobilenets.runtime.console import console

Tracker = Callable[[int, dict[str, float]], object]  # of the step and the numbers


class MetricLog:
    """Writes metrics of a run; only the first process does.

    Args:
      workdir: where to.
      first_step: the step the run resumes from. What was logged after it, by a run that
        ended before its next checkpoint, is removed: it will be logged again. Lines
        that are no records are moved to a file beside it.
      tracker: receives every record, too; see `Configuration.tracker`. One that fails
        is left out from then on, with a warning.

    Raises:
      UserError: the files cannot be read or written; so do its methods.
    """

    def __init__(
        self, workdir: Workdir, first_step: int, tracker: Tracker | None = None
    ):
        self._active = jax.process_index() == 0
        if not self._active:
            return
        self._tracker = tracker
        self._workdir, self._path = workdir, workdir.metrics
        records, damaged = _read(self._path)
        kept = [r for r in records if r["step"] <= first_step]
        with _write_errors(workdir):
            if damaged:
                _keep(damaged, workdir.damaged_metrics)
            replace_file(self._path, "".join(json.dumps(r) + "\n" for r in kept))
            self._events = _EventFile(workdir.tensorboard, first_step)

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Appends one record: {"step": step, **metrics}."""
        if not self._active:
            return
        with _write_errors(self._workdir):
            with self._path.open("a") as file:
                file.write(json.dumps({"step": step, **metrics}) + "\n")
            self._events.write(step, metrics)
        self._track(step, metrics)

    def _track(self, step: int, metrics: dict[str, float]) -> None:
        if self._tracker is None:
            return
        try:
            self._tracker(step, dict(metrics))
        except Exception as error:  # whatever it is, the training is worth more
            self._tracker = None
            print(
                f"warning: the tracker fails with {type(error).__name__}: {error}. It "
                "receives nothing from now on.",
                file=sys.stderr,
            )

    def close(self) -> None:
        """Closes the file of the TensorBoard events."""
        if self._active:
            with _write_errors(self._workdir):
                self._events.close()


class _EventFile:
    """A new file of TensorBoard events.

    It is written at once. The writers of tensorboardX leave that to a thread: where it
    fails, on a full disk, the training would wait for ever.

    Args:
      folder: of the files.
      first_step: see `MetricLog`; TensorBoard drops what came after it.
    """

    def __init__(self, folder: pathlib.Path, first_step: int):
        folder.mkdir(exist_ok=True)
        # Its own name: runs that are resumed in the same second do not share a file.
        self._writer = EventsWriter(str(folder / "events"), f".{first_step}")
        restarted = SessionLog(status=SessionLog.START)
        self._add(Event(step=first_step + 1, session_log=restarted))
        self._writer.flush()

    def write(self, step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self._add(Event(step=step, summary=scalar(name, value)))
        self._writer.flush()

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)

    def close(self) -> None:
        self._writer.close()


@contextlib.contextmanager
def _write_errors(workdir: Workdir) -> Iterator[None]:
    """Says in a sentence that the log cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The metrics cannot be written to {workdir.path}: "
            f"{error.strerror or error}. Make room or give access, and start the same "
            "command again: it continues from the last checkpoint."
        ) from None


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """The records of a metrics file, without the lines that are damaged.

    What version 0.1 called "eval/..." is "val/..." in them.

    Raises:
      UserError: the file cannot be read at all.
    """
    return _read(path)[0]


def _read(path: pathlib.Path) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The records, and the lines that are none.

    A last line that was cut short, as a killed run leaves it, is neither: it is logged
    again.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    records, damaged = [], []
    last = len(lines) - 1  # which ends without a line break
    for number, line in enumerate(lines):
        record = _record(line)
        if record is not None:
            records.append(record)
        elif line.strip() and number < last:
            damaged.append(line)
    return records, damaged


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a line, None if it is damaged."""
    try:
        record = json.loads(line.decode())
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        return None
    if not all(isinstance(value, int | float) for value in record.values()):
        return None
    return {_todays(key): value for key, value in record.items()}


def _keep(lines: list[bytes], path: pathlib.Path) -> None:
    """Moves damaged lines to another file, and says so."""
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))
    console.print(
        f"Damaged lines of the metrics were moved to {path}: {len(lines)}.",
        markup=False,
        soft_wrap=True,
    )


def _todays(key: str) -> str:
    return f"val/{key.removeprefix('eval/')}" if key.startswith("eval/") else key


def last_evaluation(path: pathlib.Path) -> dict[str, dict[str, dict[str, float]]]:
    """The metrics of the last evaluation in a metrics file.

    Returns:
      By evaluation set, weights and name; empty if there was no evaluation.
    """
    results: dict[str, dict[str, dict[str, float]]] = {}
    for record in reversed(read_metrics(path)):
        for key, value in record.items():
            set_name, *rest = key.split("/", 2)
            if set_name != "train" and len(rest) == 2:
                weights, metric = rest
                results.setdefault(set_name, {}).setdefault(weights, {})[metric] = value
        if results:
            break
    return results
