"""Image classification with one label per image."""

import csv
import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mobilenets.config.schema import ClassificationTask, Configuration
from mobilenets.data.sources.base import Source, class_counts
from mobilenets.inference.description import Description
from mobilenets.metrics.base import Batch, Metric
from mobilenets.metrics.calibration import Calibration
from mobilenets.metrics.confusion import Confusion, class_accuracies
from mobilenets.metrics.mistakes import Mistakes
from mobilenets.metrics.several import Several
from mobilenets.metrics.top_k import TOP_K
from mobilenets.tasks import pictures
from mobilenets.tasks.base import HostBatch, Metrics
from mobilenets.tasks.distillation import OUTPUTS, mixed, softmax_losses
from mobilenets.tasks.labelled_images import LabelledImages, by_share

PREDICTIONS_DRAWN = 40
MISTAKES_DRAWN = 40
MOST_CLASSES_DRAWN = 200  # more are no picture of the confusion


def _shares(batch: Batch, classes: int) -> jax.Array:
    """How much of each image is of each class: [N, classes], rows that sum to 1."""
    own = jax.nn.one_hot(batch["label"], classes)
    if "share" not in batch:
        return own
    partner = jax.nn.one_hot(batch["partner_label"], classes)
    return by_share(own, partner, batch["share"])


@dataclasses.dataclass(frozen=True)
class _EvaluatedLabels:
    """See `LabelledImages.labels_to_evaluate`.

    Args:
      num_classes: of the network.
      has_several: see `RelabelledSource`.
      candidates: see `SubsetSource`, [classes] bool; None: all.
    """

    num_classes: int
    has_several: bool
    candidates: np.ndarray | None

    def __call__(self, target: Any) -> dict[str, Any]:
        if self.has_several:
            classes = list(target or ())
            return {
                "label": np.int32(classes[0] if classes else 0),
                "right": np.isin(np.arange(self.num_classes), classes),
                "mask": np.float32(bool(classes)),
            }
        label = {"label": np.int32(target or 0)}
        if self.candidates is None:
            return label
        return {**label, "candidates": self.candidates}


class Classification(LabelledImages):
    """Cross-entropy, top-1, top-5 and calibration on images of one class each.

    The label of an example is the number of its class, int32.
    """

    labels = "class"
    headline = "top1"
    metric = Several({"means": TOP_K, "calibration": Calibration()})

    def __init__(
        self,
        config: Configuration,
        description: Description | None = None,
        sources: Mapping[str, Source] | None = None,
    ):
        super().__init__(config, description, sources)
        self._task = cast(ClassificationTask, config.task)
        self._weights = self._class_weights()
        metric: Metric = self.metric  # that of a subclass may be of another kind
        parts = metric.parts if isinstance(metric, Several) else {"own": metric}
        self.report_metric = Several(
            {
                **parts,
                "confusion": Confusion(len(self.class_names)),
                "mistakes": Mistakes(MISTAKES_DRAWN),
            }
        )

    @staticmethod
    def as_label(target: int) -> np.int32:
        """The number of the class."""
        return np.int32(target)

    @property
    def no_label(self) -> np.int32:
        """Any class: it is masked."""
        return np.int32(0)

    def labels_to_evaluate(self, source: Source) -> Callable[[Any], dict[str, Any]]:
        """The label, and what else `judge` reads for some sets of ImageNet."""
        candidates = getattr(source, "candidates", None)
        return _EvaluatedLabels(
            len(self.class_names),
            getattr(source, "has_several", False),
            None if candidates is None else np.isin(self.class_names, candidates),
        )

    def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """Cross-entropy with smoothed labels (also as "loss"), and "top1".

        In "top1" a mixed image counts as much as its label has of the predicted class.
        With weights it is the sum of the weighted losses divided by the number of
        images, not by the sum of the weights: so every image counts the same in any
        batch. With a teacher it is mixed with the loss on the teacher's outputs, and in
        the place of "top1" is "agreement", the part of the images for which both find
        the same class.
        """
        logits, _ = outputs
        labels = _shares(batch, logits.shape[-1])
        smoothed = optax.smooth_labels(labels, self._task.label_smoothing)
        losses = optax.softmax_cross_entropy(logits, smoothed)
        if self._weights is not None:
            losses *= (labels * jnp.asarray(self._weights)).sum(-1)
        found = logits.argmax(-1)
        if OUTPUTS not in batch:
            loss, predicted = losses.mean(), jax.nn.one_hot(found, logits.shape[-1])
            return loss, {"loss": loss, "top1": (predicted * labels).sum(-1).mean()}
        teacher, distillation = batch[OUTPUTS], self.config.distillation
        of_teacher = softmax_losses(logits, teacher, distillation.temperature)
        weight = distillation.label_weight
        loss = mixed(losses, of_teacher, batch["label"] >= 0, weight).mean()
        agreement = (found == teacher.argmax(-1)).mean()
        return loss, {"loss": loss, "agreement": agreement}

    def _class_weights(self) -> np.ndarray | None:
        """The weight of each class in the loss, [classes] float32; None: all are 1."""
        given = self._task.weights
        if given:
            return self.weights_of_names(given, "class")
        if self._task.balanced and self._train is not None:
            counts = class_counts(self._train)
            return (counts.sum() / (len(counts) * counts)).astype(np.float32)
        return None

    def in_words(self, label: Any) -> str:
        """The name of the class."""
        return self.class_names[int(label)] if label >= 0 else pictures.NO_LABEL

    def likelihood(self, label: Any, prediction: np.ndarray) -> float:
        """The probability of the true class."""
        return float(prediction[label])

    def predictions(self, outputs: Any) -> jax.Array:
        """The probability of each class, [N, classes]."""
        logits, _ = outputs
        return jax.nn.softmax(logits)

    def draw_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], path: pathlib.Path
    ) -> None:
        """See `Task.draw_predictions`; mistakes are marked."""
        drawn, images = self.worst_predictions(predict, PREDICTIONS_DRAWN)
        if jax.process_index() == 0:
            pictures.draw_predictions(drawn, images, self.class_names, path)

    def by_class(self, total: Any) -> dict[str, dict[str, float]]:
        """How many images each class has, and which part of them is found."""
        matrix = total["confusion"]
        counts, accuracies = matrix.sum(1), class_accuracies(matrix)
        return {
            name: {"images": float(count), "accuracy": float(accuracy)}
            for name, count, accuracy in zip(
                self.class_names, counts, accuracies, strict=True
            )
        }

    def write_report(
        self, name: str, total: Any, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """Confusion matrix (rows are the true classes) and most confident mistakes."""
        matrix, mistakes = total["confusion"], total["mistakes"]
        table = folder / f"{name}_confusion.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["true", *self.class_names])
            writer.writerows(zip(self.class_names, *matrix.T.tolist(), strict=True))
        written = [table, folder / f"{name}_mistakes.png"]
        images = [self.eval_image(name, int(i)) for i in mistakes["index"]]
        pictures.draw_mistakes(images, mistakes, self.class_names, written[-1])
        if len(self.class_names) <= MOST_CLASSES_DRAWN:
            written.append(folder / f"{name}_confusion.png")
            pictures.draw_confusion(matrix, self.class_names, written[-1])
        return written
