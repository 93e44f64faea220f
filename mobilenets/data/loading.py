"""From a record to pixels, in the workers of the input pipeline."""

import copy
import dataclasses

import numpy as np

from mobilenets.config.schema import Operation, Preprocessing
from mobilenets.data import decoding, timing
from mobilenets.data.boxes import NO_BOXES
from mobilenets.data.geometry import Color
from mobilenets.data.masks import UNLABELLED
from mobilenets.data.operations import augment, augment_with_boxes, augment_with_mask
from mobilenets.data.preprocessing import (
    black,
    fill_color,
    fit,
    pixel_type,
    prepare_image,
    shown,
)
from mobilenets.data.quick import Undecoded
from mobilenets.data.sources.base import Record
from mobilenets.errors import BrokenImage

Example = dict[str, np.ndarray]

decode = timing.as_decoding(decoding.decode)


@dataclasses.dataclass(frozen=True)
class ImageLoader:
    """Gives a network the images of a source, [resolution, resolution, 3].

    Those to train are uint8, those to evaluate as `prepare_image` gives them.
    """

    resolution: int
    preprocessing: Preprocessing
    augmentation: tuple[Operation, ...]  # of the images to train
    upright: bool  # see `Source`

    def augmented(self, record: Record, rng: np.random.Generator) -> np.ndarray:
        """The image to train, randomly changed."""
        return self.changed(self.undecoded(record), rng)

    def prepared(self, record: Record) -> np.ndarray:
        """The image to evaluate."""
        image = decode(record.image, record.origin, self.upright)
        return prepare_image(image, self.resolution, self.preprocessing)

    def undecoded(self, record: Record) -> Undecoded:
        """The image as it is."""
        return Undecoded(record.image, record.origin, self.upright)

    def changed(self, image: Undecoded, rng: np.random.Generator) -> np.ndarray:
        """See `augmented`."""
        return augment(
            image, rng, self.resolution, self.augmentation, self.preprocessing
        )

    @property
    def black(self) -> np.ndarray:
        """What fills up the last batch of an evaluation."""
        return black(self.resolution, self.preprocessing)


@dataclasses.dataclass(frozen=True)
class TaughtImageLoader:
    """Gives a network and its teacher the same part of an image, each as it sees it.

    Both are changed by the same random numbers, so that crop, flip and colours are the
    same; each has its own resolution, interpolation and colour around the image.
    """

    student: ImageLoader
    teacher: ImageLoader  # with the student's crop and augmentation

    @property
    def is_shared(self) -> bool:
        """Whether the teacher sees the very pixels of the student."""
        return _look(self.student) == _look(self.teacher)

    def augmented(
        self, record: Record, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The image to train, for the network and for the teacher, both uint8."""
        image, again = self.student.undecoded(record), copy.deepcopy(rng)
        student = self.student.changed(image, rng)
        if self.is_shared:
            return student, student
        return student, self.teacher.changed(image, again)


def _look(images: ImageLoader) -> tuple[int, str, Color]:
    """What pixels depend on where the crop is the same."""
    preprocessing = images.preprocessing
    fill = fill_color(preprocessing)
    return images.resolution, preprocessing.interpolation, fill


@dataclasses.dataclass(frozen=True)
class BoxedImageLoader:
    """Gives a network the images of a source with their boxes, as arrays of fixed size.

    For "classes", "crowd", "area" and "valid" see `Boxes.padded`.
    """

    resolution: int
    preprocessing: Preprocessing
    augmentation: tuple[Operation, ...]  # of the images to train
    upright: bool  # see `Source`
    most_boxes: int  # of an image, for which there is room

    def augmented(self, record: Record, rng: np.random.Generator) -> Example:
        """An image to train, randomly changed.

        Returns:
          "image" [resolution, resolution, 3] uint8; "boxes" [most_boxes, 4] as
          fractions of the image: y_min, x_min, y_max, x_max; "classes" and so on.
        """
        image = Undecoded(record.image, record.origin, self.upright)
        pixels, boxes = augment_with_boxes(
            image,
            record.target,
            rng,
            self.resolution,
            self.augmentation,
            self.preprocessing,
        )
        return {"image": pixels, **boxes.padded(self.most_boxes)}

    def prepared(self, record: Record) -> Example:
        """An image to evaluate, with all its boxes.

        Returns:
          "image"; "pixel_boxes" [most_boxes, 4] in pixels of the source's image, for
          which COCO's metrics are defined; "to_image" [2, 2], the way there from
          fractions of "image", see `Geometry.to_image`; "classes" and so on.
        """
        image = decode(record.image, record.origin, self.upright)
        geometry = fit(image.width, image.height, self.resolution, self.preprocessing)
        arrays = record.target.padded(self.most_boxes)
        return {
            "image": shown(image, geometry, self.preprocessing),
            "pixel_boxes": arrays.pop("boxes"),
            "to_image": geometry.to_image,
            **arrays,
        }

    @property
    def padding(self) -> Example:
        """What fills up the last batch of an evaluation."""
        arrays = NO_BOXES.padded(self.most_boxes)
        return {
            "image": black(self.resolution, self.preprocessing),
            "pixel_boxes": arrays.pop("boxes"),
            "to_image": np.zeros((2, 2), np.float32),
            **arrays,
        }


Size = tuple[int, int]  # height and width


@dataclasses.dataclass(frozen=True)
class MaskedImageLoader:
    """Gives a network the images of a source with their masks, as arrays of fixed size.

    An image to evaluate and its mask are padded at the bottom and on the right, up to
    sizes that all of the set have.
    """

    resolution: int
    preprocessing: Preprocessing
    augmentation: tuple[Operation, ...]  # of the images to train
    upright: bool  # see `Source`
    shown: Size  # of images to evaluate
    labelled: Size  # of their masks

    def augmented(self, record: Record, rng: np.random.Generator) -> Example:
        """An image to train, randomly changed.

        Returns:
          "image" [resolution, resolution, 3] uint8 and "labels" [resolution,
          resolution] uint8, the class of each pixel.
        """
        image = Undecoded(record.image, record.origin, self.upright)
        _check_mask(record, image.size)
        pixels, labels = augment_with_mask(
            image,
            record.target,
            rng,
            self.resolution,
            self.augmentation,
            self.preprocessing,
        )
        return {"image": pixels, "labels": labels}

    def prepared(self, record: Record) -> Example:
        """An image to evaluate, with the mask of the source's image as it is.

        Returns:
          "image" [*shown, 3] uint8; "labels" [*labelled] uint8; "to_image" [2, 2]
          float32, the way from fractions of "image" to pixels of "labels", see
          `Geometry.to_image`.
        """
        image = decode(record.image, record.origin, self.upright)
        _check_mask(record, image.size)
        preprocessing = self.preprocessing
        geometry = fit(image.width, image.height, self.resolution, preprocessing)
        left, top, _, _ = geometry.window
        height, width = self.shown
        geometry = dataclasses.replace(
            geometry, window=(left, top, left + width, top + height)
        )
        labels = np.full(self.labelled, UNLABELLED, np.uint8)
        labels[: image.height, : image.width] = record.target
        return {
            "image": shown(image, geometry, preprocessing),
            "labels": labels,
            "to_image": geometry.to_image,
        }

    @property
    def padding(self) -> Example:
        """What fills up the last batch of an evaluation."""
        return {
            "image": np.zeros((*self.shown, 3), pixel_type(self.preprocessing)),
            "labels": np.full(self.labelled, UNLABELLED, np.uint8),
            "to_image": np.ones((2, 2), np.float32),
        }


def _check_mask(record: Record, image_size: tuple[int, int]) -> None:
    """Raises BrokenImage if the mask of an image has another width or height."""
    height, width = record.target.shape
    if (width, height) != image_size:
        raise BrokenImage(
            f"The mask of {record.origin} has {width}x{height} pixels, but the image "
            f"has {image_size[0]}x{image_size[1]}: give the mask of this image."
        )
