"""Detection: the boxes and classes of the objects in an image, by SSD and SSDLite."""

import dataclasses
import json
import operator
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.config.schema import Configuration, DetectionTask, Preprocessing
from mobilenets.data import pipeline
from mobilenets.data.loading import BoxedImageLoader
from mobilenets.data.sources.base import BoxedSource, Record, Source
from mobilenets.detection.anchors import anchor_boxes
from mobilenets.detection.losses import (
    TENSORFLOW_FOCAL,
    TENSORFLOW_MINED,
    TORCHVISION,
    DetectionLoss,
    detection_loss,
)
from mobilenets.detection.matching import TENSORFLOW, assign
from mobilenets.detection.matching import TORCHVISION as TORCHVISION_MATCHER
from mobilenets.detection.postprocessing import Detections, detect
from mobilenets.errors import UserError
from mobilenets.inference.description import Description
from mobilenets.metrics.base import Batch
from mobilenets.metrics.coco import CocoAveragePrecision, as_coco_results
from mobilenets.networks.architectures.ssd import LITE_V3, ssdlite, with_scores
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.spec import backbone_of
from mobilenets.nn.build import Network
from mobilenets.tasks import box_pictures, pictures
from mobilenets.tasks.base import HostBatch, Metrics
from mobilenets.tasks.images import ImageTask

IMAGES_DRAWN = 12
# Of the boxes of one image, those that are trained on: as TensorFlow's configs have it.
MOST_BOXES = 100

_LOSSES = {
    "focal": TENSORFLOW_FOCAL,
    "mined_sigmoid": TENSORFLOW_MINED,
    "mined_softmax": TORCHVISION,
}


class Detection(ImageTask):
    """The loss of SSD, and COCO's average precision.

    The example of an image to train has "boxes", "classes", "crowd" and "valid", see
    `BoxedImageLoader`. Crowds are not trained on.
    """

    labels = "boxes"
    kind = DetectorSpec
    headline = "AP"

    def __init__(
        self,
        config: Configuration,
        description: Description | None = None,
        sources: Mapping[str, Source] | None = None,
    ):
        super().__init__(config, description, sources)
        task = cast(DetectionTask, config.task)
        self._rule = _loss(task, self.spec)
        is_torchvision = self._rule.classes == "softmax"
        self._matcher = TORCHVISION_MATCHER if is_torchvision else TENSORFLOW
        self._anchors = anchor_boxes(self.spec)
        self.metric = CocoAveragePrecision(self._detections, len(self.class_names))
        self.report_metric = self.metric

    @staticmethod
    def adapted(network: Network, config: Configuration) -> DetectorSpec:
        """A detector as it is; SSDLite on the backbone of any other network."""
        if isinstance(network, DetectorSpec):
            return network
        spec = ssdlite(backbone_of(network))
        loss = cast(DetectionTask, config.task).loss
        if loss == "focal":
            spec = dataclasses.replace(spec, predictor=LITE_V3)
        return with_scores(spec, _LOSSES[loss].classes)

    @classmethod
    def preprocessing_from(
        cls, weights: Description, given: Preprocessing
    ) -> Preprocessing:
        """That of the weights, but the whole image: objects may be at its border."""
        preprocessing = super().preprocessing_from(weights, given)
        changes = {"resize": "squash", "crop_fraction": 1.0}
        if isinstance(weights.network, DetectorSpec):
            changes = {}
        return preprocessing.model_copy(update=changes)

    def keeps(self, module: str, weights: Description) -> bool:
        """Of a detector all but what distinguishes other classes."""
        if not isinstance(weights.network, DetectorSpec):
            return False
        has_same_classes = weights.class_names == self.class_names
        return has_same_classes or not module.startswith("class_predictor")

    def train_batches(self, first_step: int = 0) -> pipeline.Batches:
        """Endless batches of "image", uint8, and boxes; see `Task`."""
        source = self._train
        assert source is not None, "a task for an evaluation has no images to train"
        images = self._image_loader(source, min(MOST_BOXES, _most_boxes(source)))

        def load(record: Record, rng: np.random.Generator) -> dict[str, Any]:
            return images.augmented(record, rng)

        return self.batches_to_train(source, load, first_step)

    def eval_batches(self, name: str) -> pipeline.Batches:
        """Every image once, with all its boxes; see `pipeline.eval_batches`."""
        source = self._evals[name]
        images = self._image_loader(source, _most_boxes(source))
        return self.batches_to_evaluate(name, images.prepared, images.padding)

    def _image_loader(self, source: Source, most_boxes: int) -> BoxedImageLoader:
        return BoxedImageLoader(
            self.spec.resolution,
            self.config.preprocessing,
            self.config.augmentation,
            source.upright,
            most_boxes,
        )

    def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """See `losses.detection_loss`; also as "loss", with its parts."""
        raw, _ = outputs
        anchors = jnp.asarray(self._anchors)
        targets = assign(
            anchors,
            batch["boxes"],
            batch["classes"],
            batch["valid"] & ~batch["crowd"],
            self._matcher,
            self.spec.box_coder,
        )
        loss, parts = detection_loss(
            raw.box_codes,
            raw.class_logits,
            targets,
            anchors,
            self.spec.box_coder,
            self._rule,
        )
        return loss, {"loss": loss, **parts}

    def _detections(self, outputs: Any) -> Detections:
        """See `postprocessing.detect`."""
        raw, _ = outputs
        anchors = jnp.asarray(self._anchors)
        return detect(raw.box_codes, raw.class_logits, anchors, self.spec)

    def predictions(self, outputs: Any) -> jax.Array:
        """The detections: y_min, x_min, y_max, x_max, score and class, [N, D, 6]."""
        found = self._detections(outputs)
        columns = (found.scores, found.classes.astype(jnp.float32))
        columns = [column[..., None] for column in columns]
        return jnp.concatenate([found.boxes, *columns], axis=-1)

    def draw_first_batch(self, batch: HostBatch, path: pathlib.Path) -> None:
        """See `Task.draw_first_batch`; boxes of crowds have another colour."""
        box_pictures.draw_first_batch(batch, self.class_names, IMAGES_DRAWN, path)

    def draw_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], path: pathlib.Path
    ) -> None:
        """See `Task.draw_predictions`; the images with most mistakes."""
        worst, count = pictures.worst(
            self.eval_batches("val"),
            predict,
            box_pictures.compared,
            operator.attrgetter("mistakes"),
            IMAGES_DRAWN,
        )
        if jax.process_index() == 0:
            box_pictures.draw_comparison(worst, count, self.class_names, path)

    def by_class(self, total: Any) -> dict[str, dict[str, float]]:
        """The average precision of each class; nan for one without boxes."""
        return self.metric.by_class(total, self.class_names)

    def write_report(
        self, name: str, total: Any, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """The detections in COCO's format, and the precision-recall curves."""
        source = cast(BoxedSource, self._evals[name])
        ids = {**source.category_ids}
        unused = range(max(ids.values()) + 1, 2**31)  # classes that the set lacks
        for class_name, number in zip(self.class_names, unused, strict=False):
            ids.setdefault(class_name, number)
        results = as_coco_results(
            total,
            source.image_ids,
            [ids[class_name] for class_name in self.class_names],
        )
        detections = folder / f"{name}_detections.json"
        detections.write_text(json.dumps(results))
        curves = folder / f"{name}_precision_recall.png"
        box_pictures.draw_precision_recall(
            self.metric.precision_by_recall(total), self.by_class(total), curves
        )
        return [detections, curves]


def _loss(task: DetectionTask, spec: DetectorSpec) -> DetectionLoss:
    """The configured loss.

    Raises:
      UserError: the network makes its scores in another way than it would be trained.
    """
    rule = _LOSSES[task.loss]
    if rule.classes != spec.postprocessing.scores:
        fitting = [
            n for n, r in _LOSSES.items() if r.classes == spec.postprocessing.scores
        ]
        raise UserError(
            f"task.loss is {task.loss!r}, but {spec.name} makes its scores by a "
            f"{spec.postprocessing.scores}: give {' or '.join(fitting)}, or "
            f"model.scores={rule.classes}."
        )
    if rule.mining:
        mining = dataclasses.replace(rule.mining, min_negatives=task.min_negatives)
        rule = dataclasses.replace(rule, mining=mining)
    return rule


def _most_boxes(source: Source) -> int:
    """The boxes of the image that has most, at least 1."""
    return max(1, int(np.max(cast(BoxedSource, source).box_counts)))
