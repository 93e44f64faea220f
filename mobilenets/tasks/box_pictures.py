"""Pictures of what a detector finds, beside what there is."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state
from PIL import Image

from mobilenets.detection.drawing import Mark, draw_marks
from mobilenets.inference.montage import RIGHT, WRONG, draw_images
from mobilenets.runtime.drawing import as_drawn, as_text
from mobilenets.tasks import pictures
from mobilenets.tasks.base import HostBatch

LEAST_SCORE = 0.3  # of a detection that is drawn
RIGHT_OVERLAP = 0.5  # the intersection over union from which a box is right
_COLUMNS = 4
_SIDE = 400  # pixels, to which small images are enlarged
_GREEN, _RED, _BLUE = (26, 127, 55), (198, 40, 40), (31, 95, 168)


@dataclasses.dataclass(frozen=True)
class Compared:
    """The detections in an image, and its true boxes; as fractions of the image."""

    image: np.ndarray  # [H, W, 3], values of 0 to 255
    boxes: np.ndarray  # [n, 4], without crowds
    classes: np.ndarray  # [n]
    detected: np.ndarray  # [d, 6], see `Detection.predictions`; of `LEAST_SCORE`
    found: np.ndarray  # [d] int: the number of the true box, or -1 for a mistake

    @property
    def missed(self) -> list[int]:
        """The numbers of the true boxes that were not found."""
        return sorted(set(range(len(self.boxes))) - set(self.found.tolist()))

    @property
    def mistakes(self) -> int:
        """Wrong detections and missed boxes."""
        return int((self.found < 0).sum()) + len(self.missed)


def compared(example: Mapping[str, np.ndarray], detected: np.ndarray) -> Compared:
    """Decides which detections are right: each true box is found once.

    The detection with the highest score chooses first, as in COCO's evaluation.

    Args:
      example: of `BoxedImageLoader.prepared`.
      detected: [D, 6], see `Detection.predictions`.
    """
    real = example["valid"] & ~example["crowd"]
    scale, offset = example["to_image"]
    in_pixels = example["pixel_boxes"][real].reshape(-1, 2, 2)
    boxes = ((in_pixels - offset) / scale).reshape(-1, 4)
    classes = example["classes"][real]
    detected = detected[detected[:, 4] >= LEAST_SCORE]
    overlaps = _overlaps(detected[:, :4], boxes)
    overlaps[detected[:, 5, None] != classes] = 0
    found = np.full(len(detected), -1)
    for row in np.argsort(-detected[:, 4], kind="stable"):
        if len(boxes) and overlaps[row].max() >= RIGHT_OVERLAP:
            found[row] = overlaps[row].argmax()
            overlaps[:, found[row]] = 0
    return Compared(example["image"], boxes, classes, detected, found)


def draw_comparison(
    worst: Sequence[Compared],
    images: int,
    class_names: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Draws right detections in green, wrong ones in red, and what was missed in blue.

    Args:
      worst: the images, those with most mistakes first.
      images: among how many they are the worst.
      class_names: of the classes.
      path: the PNG file to write.
    """
    titled = []
    for image in worst:
        right, wrong = (image.found >= 0).sum(), (image.found < 0).sum()
        title = f"{right} right, {wrong} wrong, {len(image.missed)} missed"
        color = WRONG if image.mistakes else RIGHT
        titled.append((_drawn(image, class_names), title, color))
    heading = (
        f"The {len(titled)} of {images:,} images with most mistakes at a score of "
        f"{LEAST_SCORE}: right in green, wrong in red, missed in blue"
    )
    draw_images(titled, heading, path, _COLUMNS)


def draw_first_batch(
    batch: HostBatch, class_names: Sequence[str], most: int, path: pathlib.Path
) -> None:
    """Draws images to train with their boxes, green or, of crowds, blue.

    Args:
      batch: of `Detection.train_batches`.
      class_names: of the classes.
      most: images.
      path: the PNG file to write.
    """
    images = []
    for row, image in enumerate(batch["image"][:most]):
        real = batch["valid"][row]
        objects = zip(
            *(batch[key][row][real] for key in ("boxes", "classes", "crowd")),
            strict=True,
        )
        marks = [
            Mark(box, class_names[int(number)], _BLUE if is_crowd else _GREEN)
            for box, number, is_crowd in objects
        ]
        images.append((_marked(image, marks), f"boxes: {len(marks)}"))
    pictures.draw_first_batch(images, path, _COLUMNS)


@as_text
def draw_precision_recall(
    curves: np.ndarray, numbers: Mapping[str, Mapping[str, float]], path: pathlib.Path
) -> None:
    """Draws precision over recall of each class, at an intersection over union of .5.

    Args:
      curves: [classes, 101], see `CocoAveragePrecision.precision_by_recall`.
      numbers: by class, see `CocoAveragePrecision.by_class`.
      path: the PNG file to write.
    """
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axis = figure.subplots()
    recall = np.linspace(0, 100, curves.shape[1])
    for curve, (name, values) in zip(curves, numbers.items(), strict=True):
        if not math.isnan(values["AP50"]):
            label = f"{name}: {values['AP50']:.1%}"
            axis.plot(recall, 100 * curve, label=label, linewidth=1.5)
    axis.set(xlabel="recall, %", ylabel="precision, %", xlim=(0, 101), ylim=(0, 103))
    axis.set_title("Precision and recall by class; in the legend AP50", fontsize=11)
    axis.grid(alpha=0.3)
    if axis.lines:
        columns = math.ceil(len(axis.lines) / 30)
        figure.legend(loc="outside right upper", fontsize=8, ncols=columns)
    figure.savefig(path, dpi=110)


def _drawn(image: Compared, class_names: Sequence[str]) -> np.ndarray:
    """The image with all boxes."""
    marks = [
        Mark(image.boxes[n], class_names[int(image.classes[n])], _BLUE)
        for n in image.missed
    ]
    for (*box, score, number), true in zip(image.detected, image.found, strict=True):
        text = f"{class_names[int(number)]} {score:.0%}"
        marks.append(Mark(box, text, _GREEN if true >= 0 else _RED))
    return _marked(image.image, marks)


def _marked(image: np.ndarray, marks: Sequence[Mark]) -> np.ndarray:
    """The image, enlarged if it is small, with boxes."""
    height, width = image.shape[:2]
    scale = max(1.0, _SIDE / max(height, width))
    size = round(width * scale), round(height * scale)
    drawn = Image.fromarray(as_drawn(image)).resize(size)
    return np.asarray(draw_marks(drawn, marks))


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The intersections over union of [n, 4] and [m, 4], [n, m]."""
    low = np.maximum(a[:, None, :2], b[:, :2])
    high = np.minimum(a[:, None, 2:], b[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-12)
