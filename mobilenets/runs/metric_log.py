"""Metrics over time: JSON lines, TensorBoard events, and the picture of both."""

import json
import pathlib
from typing import Any

import jax
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state
from tensorboardX import SummaryWriter

from mobilenets.runs.workdir import Workdir
from mobilenets.runtime.progress import title


class MetricLog:
    """Writes metrics of a run; only the first process does.

    Args:
      workdir: where to.
      first_step: the step the run goes on from. What was logged after it, by a run that
        ended before its next checkpoint, is removed: it will be logged again.
    """

    def __init__(self, workdir: Workdir, first_step: int):
        self._active = jax.process_index() == 0
        if not self._active:
            return
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

    def write_evaluation(self, step: int, results: dict[str, dict[str, float]]) -> None:
        """Appends the metrics of each set of weights, as "eval/WEIGHTS/METRIC"."""
        self.write(
            step,
            {
                f"eval/{weights}/{name}": value
                for weights, metrics in results.items()
                for name, value in metrics.items()
            },
        )

    def close(self) -> None:
        """Flushes the TensorBoard events."""
        if self._active:
            self._events.close()


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """The records of a metrics file, without a last line that was cut short."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def draw_training_curves(workdir: Workdir, headline: str) -> None:
    """Draws loss, the headline metric and the learning rate over the steps."""
    if jax.process_index() != 0:
        return
    records = read_metrics(workdir.metrics)
    panels = {
        "loss": ["train/loss", "eval/raw/loss", "eval/ema/loss"],
        title(headline): [
            f"{part}/{headline}" for part in ("train", "eval/raw", "eval/ema")
        ],
        "learning rate": ["train/learning_rate"],
    }
    figure = Figure(figsize=(14, 4))
    axes = figure.subplots(1, len(panels))
    for axis, (heading, names) in zip(axes, panels.items(), strict=True):
        for name in names:
            points = [(r["step"], r[name]) for r in records if name in r]
            if points:
                marker = "o" if name.startswith("eval") else None
                axis.plot(*zip(*points, strict=True), label=name, marker=marker, ms=4)
        axis.set(title=heading, xlabel="step")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(workdir.training_curves, dpi=110)
