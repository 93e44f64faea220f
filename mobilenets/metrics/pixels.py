"""Which classes of pixels are taken for which, and how far they overlap."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.metrics.base import Batch
from mobilenets.metrics.confusion import class_accuracies


@dataclasses.dataclass(frozen=True)
class PixelConfusion:
    """The confusion matrix of pixels; of it the mean intersection over union.

    The total is an int64 matrix [classes, classes]: how many pixels of the class of the
    row are predicted to be of the class of the column. Float32 would lose counts beyond
    16.8 million, which are eight images of Cityscapes.

    "mIoU" is the mean over the classes of which the images have a labelled pixel; how
    many have none is "classes_left_out". "pixel_accuracy" is the part of the labelled
    pixels that is right.

    Args:
      classes: of the outputs of the model and a batch: the predicted class of each
        pixel of its "labels".
      num_classes: all that the network distinguishes.
    """

    classes: Callable[[Any, Batch], jax.Array]
    num_classes: int

    names = ("mIoU", "pixel_accuracy", "classes_left_out")
    less_is_better = frozenset({"classes_left_out"})

    def empty(self) -> np.ndarray:
        """See `Metric`."""
        return np.zeros((self.num_classes, self.num_classes), np.int64)

    def update(self, outputs: Any, batch: Batch) -> jax.Array:
        """The int32 matrix of each image of the batch, [N, classes, classes].

        Args:
          outputs: what `classes` reads.
          batch: with "labels" [N, H, W], where what is no class is not counted, and
            "mask" [N].
        """
        predicted = self.classes(outputs, batch).astype(jnp.int32)
        labels = batch["labels"].astype(jnp.int32)
        known = (labels < self.num_classes) & (batch["mask"] > 0)[:, None, None]
        cells = jnp.where(known, labels * self.num_classes + predicted, -1)
        cells = cells.reshape(len(cells), -1)
        counts = jax.vmap(lambda image: _counts(image, self.num_classes**2))(cells)
        return counts.reshape(-1, self.num_classes, self.num_classes)

    def merge(self, total: np.ndarray, update: np.ndarray) -> np.ndarray:
        """Adds in 64 bits."""
        total += np.asarray(update).sum(axis=0, dtype=np.int64)
        return total

    def compute(self, total: np.ndarray) -> dict[str, float]:
        """See `Metric`; nan of images without any labelled pixel."""
        values = intersections_over_unions(total)
        absent, right = np.isnan(values), int(np.trace(total))
        pixels = int(total.sum())
        return {
            "mIoU": float(values[~absent].mean()) if pixels else float("nan"),
            "pixel_accuracy": right / pixels if pixels else float("nan"),
            "classes_left_out": float(absent.sum()),
        }

    def by_class(
        self, total: np.ndarray, class_names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """The "IoU", the "accuracy" and the labelled "pixels" of each class.

        Args:
          total: of this metric.
          class_names: as many as there are classes.
        """
        columns = {
            "IoU": intersections_over_unions(total),
            "accuracy": class_accuracies(total),
            "pixels": total.sum(axis=1),
        }
        return {
            name: {key: float(values[number]) for key, values in columns.items()}
            for number, name in enumerate(class_names)
        }


def intersections_over_unions(matrix: np.ndarray) -> np.ndarray:
    """Of a confusion matrix, the IoU of each class: [classes] float64.

    It is nan for a class without a labelled pixel.

    >>> intersections_over_unions(np.array([[3, 1], [2, 4]])).round(4).tolist()
    [0.5, 0.5714]
    """
    true, predicted, right = matrix.sum(1), matrix.sum(0), np.diag(matrix)
    with np.errstate(invalid="ignore"):
        return np.where(true > 0, right / (true + predicted - right), np.nan)


def _counts(cells: jax.Array, length: int) -> jax.Array:
    """How often each number from 0 to length - 1 is there; others are not counted."""
    counts = jnp.zeros(length + 1, jnp.int32)
    return counts.at[jnp.where(cells < 0, length, cells)].add(1)[:length]
