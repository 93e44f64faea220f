"""Images with several labels each: attributes that are there, are not, or unknown."""

import csv
import itertools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.config.schema import Configuration, MultilabelTask
from mobilenets.data.sources.base import Source
from mobilenets.inference.description import Description
from mobilenets.metrics.attributes import KnownAttributes, weighted_losses
from mobilenets.metrics.average_precision import AveragePrecision, by_attribute
from mobilenets.metrics.base import Batch
from mobilenets.metrics.several import Several
from mobilenets.tasks import pictures
from mobilenets.tasks.base import HostBatch, Metrics
from mobilenets.tasks.distillation import OUTPUTS, mixed, sigmoid_losses
from mobilenets.tasks.labelled_images import LabelledImages, by_share

PREDICTIONS_DRAWN = 24


class Multilabel(LabelledImages):
    """Sigmoid cross-entropy and mean average precision of attributes.

    The label of an example is [attributes] float32: 1, 0, or nan where it is unknown.
    The loss and the metrics leave out what is unknown.
    """

    labels = "attributes"
    headline = "mAP"

    def __init__(
        self,
        config: Configuration,
        description: Description | None = None,
        sources: Mapping[str, Source] | None = None,
    ):
        super().__init__(config, description, sources)
        task = cast(MultilabelTask, config.task)
        self.threshold = task.threshold
        self._task = task
        weights = self.weights_of_names(task.weights, "attribute")
        self._weights = tuple(weights.tolist())
        known = KnownAttributes(self._weights, task.threshold)
        self.metric = Several({"precision": AveragePrecision(), "known": known})
        self.report_metric = self.metric

    @staticmethod
    def as_label(target: np.ndarray) -> np.ndarray:
        """The attributes as they are."""
        return np.asarray(target, np.float32)

    @property
    def no_label(self) -> np.ndarray:
        """Nothing is known."""
        return np.full(len(self.class_names), np.nan, np.float32)

    def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """The weighted mean of the sigmoid cross-entropy over the known labels.

        It is 0 for a batch of which nothing is known. With accumulation each part of
        the batch has its own mean. With a teacher it is the mean over all, of which the
        unknown ones have the loss on the teacher's outputs alone.
        """
        logits, _ = outputs
        labels, of_attributes = batch["label"], np.array(self._weights)
        if "share" in batch:  # of mixed images, whose attributes are between 0 and 1
            labels = by_share(labels, batch["partner_label"], batch["share"])
        losses, weights = weighted_losses(logits, labels, of_attributes)
        if OUTPUTS in batch:
            distillation = self.config.distillation
            of_teacher = jnp.asarray(of_attributes) * sigmoid_losses(
                logits, batch[OUTPUTS], distillation.temperature
            )
            known = ~jnp.isnan(labels)
            losses = mixed(losses, of_teacher, known, distillation.label_weight)
            weights = jnp.broadcast_to(of_attributes, losses.shape)
        loss = losses.sum() / jnp.maximum(weights.sum(), 1e-12)
        return loss, {"loss": loss}

    def in_words(self, label: Any) -> str:
        """The attributes that are there."""
        if np.isnan(label).all():
            return pictures.NO_LABEL
        return pictures.list_of(itertools.compress(self.class_names, label == 1))

    def likelihood(self, label: Any, prediction: np.ndarray) -> float:
        """The logarithm of the probability of all the known labels together."""
        of_label = np.where(label > 0, prediction, 1 - prediction)[~np.isnan(label)]
        return float(np.log(np.maximum(of_label, 1e-30)).sum())

    def predictions(self, outputs: Any) -> jax.Array:
        """The probability of each attribute, [N, attributes]."""
        logits, _ = outputs
        return jax.nn.sigmoid(logits)

    def draw_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], path: pathlib.Path
    ) -> None:
        """See `Task.draw_predictions`; mistakes are marked."""
        drawn, images = self.worst_predictions(predict, PREDICTIONS_DRAWN)
        if jax.process_index() == 0:
            threshold = self._task.threshold
            pictures.draw_attributes(drawn, images, self.class_names, threshold, path)

    def by_class(self, total: Any) -> dict[str, dict[str, float]]:
        """Of each attribute: its average precision, and what the threshold makes of it.

        A number is nan where there is nothing to find it of.
        """
        known = total["known"]
        found, wrong = known["true_positives"], known["false_positives"]
        missed = known["false_negatives"]
        with np.errstate(invalid="ignore"):
            columns = {
                "average_precision": by_attribute(total["precision"]),
                "precision": found / (found + wrong),
                "recall": found / (found + missed),
                "positives": found + missed,
                "images": found + missed + wrong + known["true_negatives"],
            }
        return {
            name: {column: float(values[i]) for column, values in columns.items()}
            for i, name in enumerate(self.class_names)
        }

    def write_report(
        self, name: str, total: Any, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """The table of the attributes, as CSV and as a picture."""
        rows = self.by_class(total)
        table = folder / f"{name}_attributes.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["attribute", *next(iter(rows.values()))])
            writer.writerows(
                [attribute, *row.values()] for attribute, row in rows.items()
            )
        picture = folder / f"{name}_attributes.png"
        pictures.draw_attribute_table(rows, picture)
        return [table, picture]
