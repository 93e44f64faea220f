"""The picture of a training: its metrics over the steps."""

import pathlib
from collections.abc import Iterable

import jax
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state
from matplotlib.ticker import PercentFormatter

from mobilenets.evaluation.tables import title
from mobilenets.runs.metric_log import read_metrics
from mobilenets.runs.workdir import Workdir


def draw_training_curves(
    files: Workdir, path: pathlib.Path, headline: str, sets: Iterable[str]
) -> None:
    """Draws loss, the headline metric and the learning rate over the steps.

    Args:
      files: of the run; what it has logged is drawn.
      path: the PNG file to write.
      headline: the name of a metric.
      sets: the names of the evaluation sets.
    """
    if jax.process_index() != 0:
        return
    records = read_metrics(files.metrics)
    parts = ["train", *(f"{name}/{w}" for name in sets for w in ("raw", "ema"))]
    panels = {
        "loss": [f"{part}/loss" for part in parts],
        title(headline): [f"{part}/{headline}" for part in parts],
        "learning rate": ["train/learning_rate"],
    }
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    axes = figure.subplots(1, len(panels))
    for axis, (heading, names) in zip(axes, panels.items(), strict=True):
        for name in names:
            points = [(r["step"], r[name]) for r in records if name in r]
            if points:
                label, marker = _look(name)
                axis.plot(*zip(*points, strict=True), label=label, marker=marker, ms=4)
        axis.set(title=heading, xlabel="step")
        axis.grid(alpha=0.3)
        if len(axis.lines) > 1:  # below the axis, where it hides no points
            axis.legend(
                loc="upper left", bbox_to_anchor=(0, -0.14), fontsize=8, frameon=False
            )
    score = axes[1]
    if all(0 <= y <= 1 for line in score.lines for y in line.get_ydata()):
        score.yaxis.set_major_formatter(PercentFormatter(1))
    figure.savefig(path, dpi=110)


def _look(name: str) -> tuple[str, str | None]:
    """The label of a curve and the marker of its points."""
    match name.split("/"):
        case ["train", "learning_rate"]:
            return name, None
        case ["train", "loss"]:  # with smoothed labels, if the task has such
            return "train (minimised loss of single batches)", None
        case ["train", _]:
            return "train (single batches)", None
    return name, "o"
