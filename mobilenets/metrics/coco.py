"""COCO's average precision and recall of boxes: cocodataset.org/#detection-eval.

pycocotools finds them. It is imported where it is needed.
"""

import contextlib
import dataclasses
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from mobilenets.metrics.base import Batch

SIZES = ("small", "medium", "large")  # objects below 32², below 96², others
MOST_DETECTIONS = (1, 10, 100)  # of an image and class that count

# Where these are in pycocotools' arrays.
_ALL_SIZES, _100_DETECTIONS = 0, 2
_IOU_50, _IOU_75 = 0, 5

_TRUE = ("pixel_boxes", "classes", "crowd", "area")


class Detections(Protocol):
    """What a detector finds in the images of a batch, at most D boxes in each."""

    @property
    def boxes(self) -> jax.Array:
        """Fractions of the network's input: y_min, x_min, y_max, x_max; [N, D, 4]."""
        ...

    @property
    def scores(self) -> jax.Array:
        """More means more likely an object; [N, D] float32."""
        ...

    @property
    def classes(self) -> jax.Array:
        """From 0, and below 0 where there is no detection; [N, D] int32."""
        ...


@dataclasses.dataclass(frozen=True)
class ImageRow:
    """The true and the detected boxes of one image, in pixels of the image."""

    index: int  # its place in the source
    boxes: np.ndarray  # [n, 4] float32: y_min, x_min, y_max, x_max
    classes: np.ndarray  # [n] int32
    crowd: np.ndarray  # [n] bool
    area: np.ndarray  # [n] float32
    detected_boxes: np.ndarray  # [d, 4] float32
    detected_classes: np.ndarray  # [d] int32
    scores: np.ndarray  # [d] float32


@dataclasses.dataclass(frozen=True)
class CocoAveragePrecision:
    """Average precision and recall of detected boxes.

    "AP" is the mean over the classes and the thresholds .5, .55, … .95 of the
    intersection over union, "AP50" and "AP75" that at one threshold, "AP_small" and so
    on that of objects of a size. "AR100" is the mean of the recalls with at most 100
    detections of an image. Classes without a box are left out of the means. Where none
    has one, as of a size, the number is nan.

    The total is a list of `ImageRow`.

    Args:
      detect: from the outputs of the model to the detections of a batch.
      num_classes: all that the network distinguishes.
    """

    detect: Callable[[Any], Detections]
    num_classes: int

    names = (
        "AP",
        "AP50",
        "AP75",
        *(f"AP_{size}" for size in SIZES),
        *(f"AR{most}" for most in MOST_DETECTIONS),
    )
    less_is_better = frozenset()

    def empty(self) -> list[ImageRow]:
        """See `Metric`."""
        return []

    def update(self, outputs: Any, batch: Batch) -> dict[str, jax.Array]:
        """The rows of the batch.

        Args:
          outputs: what `detect` reads.
          batch: with "pixel_boxes" [N, M, 4] in pixels of the images, "classes",
            "crowd", "area" and "valid" [N, M], "to_image" [N, 2, 2] (see
            `Geometry.to_image`), "index" and "mask" [N].
        """
        detections = self.detect(outputs)
        scale, offset = batch["to_image"][:, None, :1], batch["to_image"][:, None, 1:]
        boxes = detections.boxes
        in_pixels = boxes.reshape(*boxes.shape[:2], 2, 2) * scale + offset
        rows = {key: batch[key] for key in (*_TRUE, "valid", "index", "mask")}
        return rows | {
            "detected_boxes": in_pixels.reshape(boxes.shape),
            "detected_classes": detections.classes,
            "scores": detections.scores,
        }

    def merge(
        self, total: list[ImageRow], update: dict[str, np.ndarray]
    ) -> list[ImageRow]:
        """Appends the rows of real examples, without what only fills them up."""
        for i in np.flatnonzero(np.asarray(update["mask"]) > 0):
            valid, detected = update["valid"][i] > 0, update["detected_classes"][i] >= 0
            true = [np.asarray(update[key])[i][valid] for key in _TRUE]
            found = [
                np.asarray(update[key])[i][detected]
                for key in ("detected_boxes", "detected_classes", "scores")
            ]
            total.append(ImageRow(int(update["index"][i]), *true, *found))
        return total

    def compute(self, total: list[ImageRow]) -> dict[str, float]:
        """See `Metric`."""
        precision, recall = _evaluated(total, self.num_classes)
        of_all = precision[..., _ALL_SIZES, _100_DETECTIONS]
        numbers = {
            "AP": of_all,
            "AP50": of_all[_IOU_50],
            "AP75": of_all[_IOU_75],
            **{
                f"AP_{size}": precision[..., place, _100_DETECTIONS]
                for place, size in enumerate(SIZES, start=1)
            },
            **{
                f"AR{most}": recall[..., _ALL_SIZES, place]
                for place, most in enumerate(MOST_DETECTIONS)
            },
        }
        return {name: _mean(values) for name, values in numbers.items()}

    def by_class(
        self, total: list[ImageRow], class_names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """The "AP", "AP50" and "AP75" of each class; nan for one without boxes.

        Args:
          total: of this metric.
          class_names: as many as there are classes.
        """
        precision, _ = _evaluated(total, self.num_classes)
        of_all = precision[..., _ALL_SIZES, _100_DETECTIONS]
        return {
            name: {
                "AP": _mean(of_all[:, :, place]),
                "AP50": _mean(of_all[_IOU_50, :, place]),
                "AP75": _mean(of_all[_IOU_75, :, place]),
            }
            for place, name in enumerate(class_names)
        }

    def precision_by_recall(self, total: list[ImageRow]) -> np.ndarray:
        """The precision-recall curve of each class at an IoU of .5, for a picture.

        Args:
          total: of this metric.

        Returns:
          [classes, 101] float64: the highest precision at a recall of at least 0, .01,
          … 1; nan for a class without boxes.
        """
        precision, _ = _evaluated(total, self.num_classes)
        curves = precision[_IOU_50, :, :, _ALL_SIZES, _100_DETECTIONS].T
        return np.where(curves < 0, np.nan, curves)


def as_coco_results(
    total: Sequence[ImageRow],
    image_ids: Sequence[int | str],
    category_ids: Sequence[int],
) -> list[dict[str, Any]]:
    """The detections as COCO's servers and pycocotools take them, for JSON.

    Args:
      total: of `CocoAveragePrecision`.
      image_ids: of the images, by their place in the source.
      category_ids: of the classes, by their number.
    """
    return [
        {
            "image_id": image_ids[row.index],
            "category_id": category_ids[number],
            "bbox": bbox,
            "score": score,
        }
        for row in _in_order(total)
        for bbox, number, score in zip(
            _bboxes(row.detected_boxes),
            row.detected_classes.tolist(),
            row.scores.tolist(),
            strict=True,
        )
    ]


def _mean(values: np.ndarray) -> float:
    """The mean of what there is; pycocotools has -1 where there is nothing to find."""
    known = values[values > -1]
    return float(known.mean()) if known.size else float("nan")


def _evaluated(
    total: Sequence[ImageRow], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Precision [10 thresholds, 101 recalls, classes, 4 sizes, 3], and the recall.

    The last axis is `MOST_DETECTIONS`, the sizes are all and then `SIZES`. The recall
    has no axis of recalls.
    """
    from pycocotools.cocoeval import COCOeval

    rows = list(_in_order(total))
    indices, numbers = [row.index for row in rows], list(range(num_classes))
    true = _coco(indices, numbers, _true_annotations(rows))
    detected = _coco(indices, numbers, as_coco_results(rows, range(2**31), numbers))
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        evaluation = COCOeval(true, detected, "bbox")
        evaluation.params.maxDets = list(MOST_DETECTIONS)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"], evaluation.eval["recall"]


def _in_order(total: Sequence[ImageRow]) -> list[ImageRow]:
    return sorted(total, key=lambda row: row.index)


def _coco(image_ids: list[int], category_ids: list[int], annotations: Any) -> Any:
    """The object that pycocotools makes of annotations, each of which gets an id."""
    from pycocotools.coco import COCO

    coco: Any = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in image_ids],
        "categories": [{"id": number} for number in category_ids],
        "annotations": [
            {"area": a["bbox"][2] * a["bbox"][3], "iscrowd": 0, **a, "id": number}
            for number, a in enumerate(annotations, start=1)  # 0 means none
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _true_annotations(rows: Sequence[ImageRow]) -> Iterator[dict[str, Any]]:
    for row in rows:
        columns = (row.classes, row.crowd, row.area)
        for bbox, number, crowd, area in zip(
            _bboxes(row.boxes), *(c.tolist() for c in columns), strict=True
        ):
            yield {
                "image_id": row.index,
                "category_id": number,
                "bbox": bbox,
                "iscrowd": int(crowd),
                "area": area,
            }


def _bboxes(boxes: np.ndarray) -> list[list[float]]:
    """COCO's x, y, width and height, of [n, 4]."""
    y_min, x_min, y_max, x_max = boxes.astype(np.float64).T
    return np.stack([x_min, y_min, x_max - x_min, y_max - y_min], axis=1).tolist()
