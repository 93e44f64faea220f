"""From a record to pixels, in the workers of the input pipeline."""

import dataclasses

import numpy as np

from mobilenets.config.schema import Operation, Preprocessing
from mobilenets.data.decoding import decode
from mobilenets.data.operations import augment
from mobilenets.data.preprocessing import prepare_image
from mobilenets.data.sources.base import Record


@dataclasses.dataclass(frozen=True)
class ImageLoader:
    """Gives a network the images of a source, [resolution, resolution, 3] uint8."""

    resolution: int
    preprocessing: Preprocessing
    augmentation: tuple[Operation, ...]  # of the images to train
    upright: bool  # see `Source`

    def augmented(self, record: Record, rng: np.random.Generator) -> np.ndarray:
        """The image to train, randomly changed."""
        image = decode(record.image, record.origin, self.upright)
        return augment(
            image, rng, self.resolution, self.augmentation, self.preprocessing
        )

    def prepared(self, record: Record) -> np.ndarray:
        """The image to evaluate."""
        image = decode(record.image, record.origin, self.upright)
        return prepare_image(image, self.resolution, self.preprocessing)

    @property
    def black(self) -> np.ndarray:
        """What fills up the last batch of an evaluation."""
        return np.zeros((self.resolution, self.resolution, 3), np.uint8)
