"""Pictures of what a model says."""

import math
import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state

COLUMNS = 8


def draw_predictions(
    examples: Sequence[tuple[np.ndarray, int, np.ndarray]],
    class_names: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Draws images with the predicted class; mistakes in red, with the true class.

    Args:
      examples: image [H, W, 3] uint8, true class, probabilities [classes].
      class_names: of the classes.
      path: the PNG file to write.
    """
    rows = math.ceil(len(examples) / COLUMNS)
    figure = Figure(figsize=(1.6 * COLUMNS, 2.0 * rows + 0.6))
    axes = figure.subplots(rows, COLUMNS, squeeze=False)
    correct = 0
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (image, label, p) in zip(axes.flat, examples, strict=False):
        predicted = int(p.argmax())
        right = predicted == label
        correct += right
        color = "#1a7f37" if right else "#c62828"
        title = f"{class_names[predicted]} {p[predicted]:.0%}"
        if not right:
            title += f"\ntrue: {class_names[label]}"
        axis.imshow(image)
        axis.set_axis_on()
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, fontsize=8, color=color)
        for spine in axis.spines.values():
            spine.set(color=color, linewidth=2.5)
    figure.suptitle(
        f"{correct} of {len(examples)} right; mistakes in red, with the true class",
        fontsize=11,
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)
