"""Collages of the embedded clothes: a small data set with several labels per image."""

from collections.abc import Mapping

import numpy as np

from mobilenets.data import decoding
from mobilenets.data.sources.base import Record, Source
from mobilenets.data.sources.embedded import COLLAGES
from mobilenets.data.sources.slices import places

SIZES = {"train": 2000, "validation": 500}
SIDE = 64  # pixels of a collage, 2 by 2 cells
UNKNOWN_FRACTION = 0.1  # of what is known of the training images

_SEED = 20_170_825  # a date; changing it makes another data set


class CollageSource:
    """Images of one to four garments, [64, 64] uint8, and which kinds are in each.

    Everything of a collage follows from its split and number. Of the training images a
    tenth of all attributes is unknown.

    Args:
      garments: what the collages of each split are composed of, with its class.
      split: "train", "validation", or as TFDS slices them.

    Raises:
      UserError: there is no such split or slice.
    """

    upright = False

    def __init__(self, garments: Mapping[str, Source], split: str):
        self.names = garments["train"].names
        self._garments = garments
        self._places = places(COLLAGES, SIZES, split)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Record:
        split, number = self._places[index]
        garments = self._garments[split]
        rng = np.random.default_rng([_SEED, [*SIZES].index(split), number])
        image = np.zeros((SIDE, SIDE), np.uint8)
        target = np.zeros(len(self.names), np.float32)
        for cell in rng.permutation(4)[: rng.integers(1, 5)]:
            garment = garments[int(rng.integers(len(garments)))]
            _paste(image, garment, int(cell))
            target[garment.target] = 1
        if split == "train":
            target[rng.random(len(target)) < UNKNOWN_FRACTION] = np.nan
        return Record(image, target, f"record {number} of {COLLAGES}, split {split}")


def _paste(image: np.ndarray, garment: Record, cell: int) -> None:
    """Puts a garment into the middle of a cell; 0 is the upper left, 1 beside it."""
    pixels = np.asarray(decoding.decode(garment.image, garment.origin))[..., 0]
    height, width = pixels.shape
    half = SIDE // 2
    row, column = divmod(cell, 2)
    top = row * half + (half - height) // 2
    left = column * half + (half - width) // 2
    image[top : top + height, left : left + width] = pixels
