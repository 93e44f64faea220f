"""Pictures of what a model says."""

import contextlib
import itertools
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state

from mobilenets.inference.montage import NEITHER, RIGHT, WRONG, Titled, draw_images
from mobilenets.runtime.drawing import as_text
from mobilenets.tasks.base import Batches, HostBatch

NOTHING = "nothing"  # the title of an image without attributes
NO_LABEL = "no label"  # that of one of which nothing is known
_FIRST_IMAGES = 24  # of a batch, that are drawn


def list_of(names: Iterable[str], start: str = "") -> str:
    """Names behind each other, or `NOTHING`."""
    return start + ", ".join(names) or NOTHING


def mixture(own: str, partner: str, share: float) -> str:
    r"""The labels of a mixed image with their shares, or the one that has all.

    >>> mixture("cat", "dog", 0.25), mixture("cat", "dog", 1.0)
    ('dog 75%\ncat 25%', 'cat')
    >>> mixture("cat", "cat", 0.25), mixture("cat", "dog", 0.001)
    ('cat', 'dog')
    """
    if own == partner:
        return own
    shares = sorted([(share, own), (1 - share, partner)], reverse=True)
    shown = [(name, f"{part:.0%}") for part, name in shares if round(100 * part)]
    return "\n".join(f"{n} {p}" for n, p in shown) if len(shown) > 1 else shown[0][0]


def draw_first_batch(
    images: Sequence[tuple[np.ndarray, str]], path: pathlib.Path, columns: int = 8
) -> None:
    """Draws images of the first batch with what is known of them.

    Args:
      images: [H, W, 3] uint8, augmented, with their titles. The first ones are drawn.
      path: the PNG file to write.
      columns: images in a row.
    """
    titled = [(image, title, NEITHER) for image, title in images[:_FIRST_IMAGES]]
    heading = "Images of the first batch, augmented as in training"
    draw_images(titled, heading, path, columns)


Compared = TypeVar("Compared")


def worst(
    batches: Batches,
    predict: Callable[[HostBatch], np.ndarray],
    compared: Callable[[Mapping[str, np.ndarray], np.ndarray], Compared],
    badness: Callable[[Compared], float],
    most: int,
) -> tuple[list[Compared], int]:
    """The images that are predicted worst, and among how many they are the worst.

    Args:
      batches: of `Task.eval_batches`.
      predict: `Task.predictions` for a batch.
      compared: of an example and what is predicted for it, what is kept.
      badness: of that, by which the images are sorted.
      most: images.
    """
    found: list[Compared] = []
    count = 0
    with contextlib.closing(batches):
        for batch in batches:
            for row, predicted in enumerate(predict(batch)):
                if batch["mask"][row]:
                    count += 1
                    example = {name: array[row] for name, array in batch.items()}
                    found.append(compared(example, predicted))
            found = sorted(found, key=badness, reverse=True)[:most]
    return found, count


@as_text
def draw_predictions(
    examples: Sequence[tuple[np.ndarray, int, np.ndarray]],
    images: int,
    class_names: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Draws images with the predicted class; mistakes in red, with the true class.

    Args:
      examples: image [H, W, 3] uint8, true class, probabilities [classes]; the lowest
        probability of the true class first.
      images: among how many they are the worst.
      class_names: of the classes.
      path: the PNG file to write.
    """
    titled: list[Titled] = []
    for image, label, p in examples:
        predicted = int(p.argmax())
        title = f"{class_names[predicted]} {p[predicted]:.0%}"
        if predicted == label:
            titled.append((image, title, RIGHT))
        else:
            titled.append((image, f"{title}\ntrue: {class_names[label]}", WRONG))
    heading = (
        f"The {len(titled)} of {images:,} images whose true class is the least "
        "probable, worst first; mistakes in red"
    )
    draw_images(titled, heading, path)


@as_text
def draw_attributes(
    examples: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    images: int,
    names: Sequence[str],
    threshold: float,
    path: pathlib.Path,
) -> None:
    """Draws images with the attributes that are predicted; mistakes in red.

    Args:
      examples: image [H, W, 3] uint8, labels [attributes] of 1, 0 and nan for unknown,
        probabilities [attributes]; the least probable labels first.
      images: among how many they are the worst.
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
            list_of(itertools.compress(names, which), start)
            for start, which in lines.items()
            if which.any()
        ]
        is_wrong = lines["wrong: "].any() or lines["missed: "].any()
        title = "\n".join(words) or NOTHING
        titled.append((image, title, WRONG if is_wrong else RIGHT))
    heading = (
        f"The {len(titled)} of {images:,} images whose labels are the least probable, "
        "worst first; mistakes in red"
    )
    draw_images(titled, heading, path)


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
        titled.append((image, title, WRONG))
    heading = f"The {len(titled)} most confident mistakes" if titled else "No mistakes"
    draw_images(titled, heading, path)


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
