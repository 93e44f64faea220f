"""Pictures of the classes that a segmenter gives to pixels, beside the true ones."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from mobilenets.data.masks import UNLABELLED
from mobilenets.inference.montage import NEITHER, RIGHT, WRONG, draw_images
from mobilenets.inference.overlay import class_colors, overlaid, with_legend
from mobilenets.runtime.drawing import as_drawn
from mobilenets.tasks import pictures
from mobilenets.tasks.base import HostBatch

_SIDE = 320  # pixels, to which small images are enlarged
_GREEN, _RED, _GREY = (26, 127, 55), (198, 40, 40), (160, 160, 160)


@dataclasses.dataclass(frozen=True)
class Compared:
    """What was said of the pixels that the network saw, and what is true."""

    image: np.ndarray  # [H, W, 3] uint8
    true: np.ndarray  # [H, W] uint8
    predicted: np.ndarray  # [H, W] uint8

    @property
    def wrong(self) -> float:
        """The part of the labelled pixels that is wrong; 0 if none is labelled."""
        known = self.true != UNLABELLED
        return float((self.predicted != self.true)[known].mean()) if known.any() else 0


def compared(example: Mapping[str, np.ndarray], predicted: np.ndarray) -> Compared:
    """The pixels that the network saw, with the nearest labels of the image's own.

    Args:
      example: of `MaskedImageLoader.prepared`.
      predicted: see `Segmentation.predictions`.
    """
    scale, offset = example["to_image"]
    labels, places = example["labels"], []
    for axis, length in enumerate(predicted.shape):
        fractions = (np.arange(length) + 0.5) / length
        place = np.floor(fractions * scale[axis] + offset[axis]).astype(int)
        places.append(np.where(place < labels.shape[axis], place, -1))
    rows, columns = places
    true = labels[np.ix_(rows.clip(0), columns.clip(0))]
    true[rows < 0] = UNLABELLED
    true[:, columns < 0] = UNLABELLED
    return Compared(as_drawn(example["image"]), true, predicted)


def draw_comparison(
    worst: Sequence[Compared],
    images: int,
    class_names: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Draws in each row an image, its true classes, the predicted ones, the mistakes.

    Args:
      worst: the images, those with most wrong pixels first.
      images: among how many they are the worst.
      class_names: of the classes.
      path: the PNG file to write.
    """
    colors = class_colors(class_names)
    titled = []
    for row in worst:
        known = row.true != UNLABELLED
        mistakes = np.where(known, row.true != row.predicted, 2).astype(np.uint8)
        present = np.append(row.true[known], row.predicted[known])
        legend = _legend(present, class_names, colors)
        titled += [
            (_enlarged(row.image), "image", NEITHER),
            (_colored(row.image, row.true, colors, legend), "truth", NEITHER),
            (_colored(row.image, row.predicted, colors, legend), "prediction", NEITHER),
            (
                _colored(row.image, mistakes, [_GREEN, _RED, _GREY], []),
                f"{row.wrong:.1%} wrong",
                WRONG if row.wrong else RIGHT,
            ),
        ]
    heading = (
        f"The {len(worst)} of {images:,} images with most wrong pixels, worst first; "
        "right in green, wrong in red, without label in grey"
    )
    draw_images(titled, heading, path, columns=4)


def draw_first_batch(
    batch: HostBatch, class_names: Sequence[str], most: int, path: pathlib.Path
) -> None:
    """Draws images to train, each beside its classes.

    Args:
      batch: of `Segmentation.train_batches`.
      class_names: of the classes.
      most: images.
      path: the PNG file to write.
    """
    colors = class_colors(class_names)
    images = []
    for image, labels in zip(
        batch["image"][:most], batch["labels"][:most], strict=True
    ):
        known = labels != UNLABELLED
        legend = _legend(labels[known], class_names, colors)
        images += [
            (_enlarged(image), "image"),
            (_colored(image, labels, colors, legend), f"{known.mean():.0%} labelled"),
        ]
    pictures.draw_first_batch(images, path, columns=4)


def _legend(
    present: np.ndarray,
    class_names: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
) -> list[tuple[str, tuple[int, int, int]]]:
    """The names and colours of the classes that are in an array."""
    numbers: list[int] = np.unique(present).tolist()
    return [(class_names[n], colors[n]) for n in numbers]


def _colored(
    image: np.ndarray,
    classes: np.ndarray,
    colors: Sequence[tuple[int, int, int]],
    legend: Sequence[tuple[str, tuple[int, int, int]]],
) -> np.ndarray:
    drawn = Image.fromarray(_enlarged(overlaid(image, classes, colors)))
    return np.asarray(with_legend(drawn, legend))


def _enlarged(image: np.ndarray) -> np.ndarray:
    """The image as it is, or made larger if it is small."""
    height, width = image.shape[:2]
    scale = max(1.0, _SIDE / max(height, width))
    size = round(width * scale), round(height * scale)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.NEAREST))
