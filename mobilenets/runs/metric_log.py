"""Metrics over time: JSON lines and TensorBoard events."""

import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import jax
from tensorboardX import SummaryWriter

from mobilenets.runs.workdir import Workdir

Tracker = Callable[[int, dict[str, float]], object]  # of the step and the numbers


class MetricLog:
    """Writes metrics of a run; only the first process does.

    Args:
      workdir: where to.
      first_step: the step the run goes on from. What was logged after it, by a run that
        ended before its next checkpoint, is removed: it will be logged again.
      tracker: receives every record, too; see `Configuration.tracker`. One that fails
        is left out from then on, with a warning.
    """

    def __init__(
        self, workdir: Workdir, first_step: int, tracker: Tracker | None = None
    ):
        self._active = jax.process_index() == 0
        if not self._active:
            return
        self._tracker = tracker
        self._path = workdir.metrics
        kept = [r for r in read_metrics(self._path) if r["step"] <= first_step]
        unfinished = self._path.with_suffix(".unfinished")  # renamed when complete
        unfinished.write_text("".join(json.dumps(record) + "\n" for record in kept))
        unfinished.rename(self._path)
        self._events = SummaryWriter(
            str(workdir.tensorboard), purge_step=first_step + 1
        )

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Appends one record: {"step": step, **metrics}."""
        if not self._active:
            return
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        for name, value in metrics.items():
            self._events.add_scalar(name, value, step)
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
        """Flushes the TensorBoard events."""
        if self._active:
            self._events.close()


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """The records of a metrics file, without a last line that was cut short.

    What version 0.1 called "eval/..." is "val/..." in them.
    """
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break
        records.append({_todays(key): value for key, value in record.items()})
    return records


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
