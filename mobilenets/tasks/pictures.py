"""Pictures of what a model says."""

import itertools
import math
import pathlib
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state

from mobilenets.runtime.drawing import as_text

COLUMNS = 8
_RIGHT, _WRONG = "#1a7f37", "#c62828"

Titled = tuple[np.ndarray, str, str]  # image [H, W, 3] uint8, its title and its colour


@as_text
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
    titled: list[Titled] = []
    for image, label, p in examples:
        predicted = int(p.argmax())
        title = f"{class_names[predicted]} {p[predicted]:.0%}"
        if predicted == label:
            titled.append((image, title, _RIGHT))
        else:
            titled.append((image, f"{title}\ntrue: {class_names[label]}", _WRONG))
    correct = sum(color == _RIGHT for *_, color in titled)
    heading = f"{correct} of {len(titled)} right; mistakes in red, with the true class"
    _draw_images(titled, heading, path)


@as_text
def draw_attributes(
    examples: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    names: Sequence[str],
    threshold: float,
    path: pathlib.Path,
) -> None:
    """Draws images with the attributes that are predicted; mistakes in red.

    Args:
      examples: image [H, W, 3] uint8, labels [attributes] of 1, 0 and nan for unknown,
        probabilities [attributes].
      names: of the attributes.
      threshold: the probability from which an image has an attribute.
      path: the PNG file to write.
    """
    titled: list[Titled] = []
    for image, labels, p in examples:
        given = p >= threshold
        lines = {
            "": given & (labels != 0),
            "wrong: ": given & (labels == 0),
            "missed: ": ~given & (labels == 1),
        }
        words = [
            textwrap.fill(start + ", ".join(itertools.compress(names, which)), 22)
            for start, which in lines.items()
            if which.any()
        ]
        is_wrong = lines["wrong: "].any() or lines["missed: "].any()
        title = "\n".join(words) or "nothing"
        titled.append((image, title, _WRONG if is_wrong else _RIGHT))
    correct = sum(color == _RIGHT for *_, color in titled)
    heading = f"{correct} of {len(titled)} images without a mistake"
    _draw_images(titled, heading, path, row_height=2.5)


@as_text
def draw_attribute_table(
    rows: Mapping[str, Mapping[str, float]], path: pathlib.Path
) -> None:
    """Draws the average precision of each attribute, the lowest first.

    Args:
      rows: see `Multilabel.by_class`; attributes without one are left out.
      path: the PNG file to write.
    """
    values = {name: row["average_precision"] for name, row in rows.items()}
    known = sorted((v, name) for name, v in values.items() if not math.isnan(v))
    figure = Figure(figsize=(7, 1.2 + 0.25 * len(known)))
    axis = figure.subplots()
    axis.barh(range(len(known)), [100 * v for v, _ in known], color="#9cc3e6")
    for row, (value, _) in enumerate(known):
        axis.text(100 * value, row, f" {100 * value:.1f}", va="center", fontsize=8)
    axis.set_yticks(range(len(known)), [name for _, name in known], fontsize=8)
    axis.set(xlim=(0, 108), xlabel="average precision, %")
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


@as_text
def draw_mistakes(
    images: Sequence[np.ndarray],
    mistakes: np.ndarray,
    class_names: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Draws wrongly predicted images with both classes.

    Args:
      images: [H, W, 3] uint8, one for each mistake.
      mistakes: the total of `metrics.mistakes.Mistakes`.
      class_names: of the classes.
      path: the PNG file to write.
    """
    titled: list[Titled] = []
    for image, mistake in zip(images, mistakes, strict=True):
        said, confidence = class_names[mistake["predicted"]], mistake["confidence"]
        title = f"{said} {confidence:.0%}\ntrue: {class_names[mistake['label']]}"
        titled.append((image, title, _WRONG))
    heading = f"The {len(titled)} most confident mistakes" if titled else "No mistakes"
    _draw_images(titled, heading, path)


@as_text
def draw_confusion(
    matrix: np.ndarray, class_names: Sequence[str], path: pathlib.Path
) -> None:
    """Draws which part of each class is taken for which one.

    Args:
      matrix: the total of `metrics.confusion.Confusion`.
      class_names: of the classes.
      path: the PNG file to write.
    """
    classes = len(class_names)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 3 + max(0.4 * min(classes, 20), 0.12 * classes)
    figure = Figure(figsize=(side + 1, side))
    axis = figure.subplots()
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, label="part of the true class", fraction=0.046)
    ticks, size = range(classes), 9 if classes <= 20 else 5
    axis.set_xticks(ticks, class_names, rotation=90, fontsize=size)
    axis.set_yticks(ticks, class_names, fontsize=size)
    axis.set(xlabel="predicted", ylabel="true")
    if classes <= 20:  # more numbers than these cannot be read
        for row, column in zip(*matrix.nonzero(), strict=True):
            color = "white" if shares[row, column] > 0.5 else "black"
            text = str(matrix[row, column])
            axis.text(
                column, row, text, color=color, fontsize=7, ha="center", va="center"
            )
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _draw_images(
    titled: Sequence[Titled],
    heading: str,
    path: pathlib.Path,
    row_height: float = 2.0,
) -> None:
    """Draws framed images with their titles, `COLUMNS` in a row."""
    rows = max(1, math.ceil(len(titled) / COLUMNS))
    figure = Figure(figsize=(1.6 * COLUMNS, row_height * rows + 0.6))
    axes = figure.subplots(rows, COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (image, title, color) in zip(axes.flat, titled, strict=False):
        axis.imshow(image)
        axis.set_axis_on()
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, fontsize=8, color=color)
        for spine in axis.spines.values():
            spine.set(color=color, linewidth=2.5)
    figure.suptitle(heading, fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
