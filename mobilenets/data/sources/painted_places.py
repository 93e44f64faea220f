"""Painted scenes whose place is in the picture: a small set for geolocalization.

The colour of the sky is the longitude, which has no border at the date line, and the
height of the horizon the latitude: the ground fills the image at the south pole, the
sky at the north pole. Hills, clouds, brightness and noise are random.
"""

import colorsys
import functools

import numpy as np

from mobilenets.data.sources.base import Record
from mobilenets.data.sources.embedded import PLACES
from mobilenets.data.sources.slices import places as sliced
from mobilenets.geography.sphere import Place, places_of, unit_vectors

SIZES = {"train": 2000, "validation": 500}
SIDE = 64  # pixels

_SEED = 20_170_825  # a date; changing it makes another data set
_TOWNS = 60  # around which photographs are taken
_ALONE = 0.2  # of the photographs, those that may be anywhere


class PaintedPlacesSource:
    """Painted images, [64, 64, 3] uint8, with the place that each shows.

    Everything of an image follows from its split and number. Most are near a town, a
    few of which are large, so that adaptive cells are small where there are many.

    Args:
      split: "train", "validation", or as TFDS slices them.

    Raises:
      UserError: there is no such split or slice.
    """

    names = ()
    upright = False

    def __init__(self, split: str):
        self._numbers = sliced(PLACES, SIZES, split)
        self.places = np.array([_place(*number) for number in self._numbers])

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Record:
        split, number = self._numbers[index]
        place = Place(*self.places[index].tolist())
        rng = np.random.default_rng([*_key(split, number), 1])
        origin = f"record {number} of {PLACES}, split {split}"
        return Record(paint(place, rng), place, origin)


def paint(place: Place, rng: np.random.Generator) -> np.ndarray:
    """The scene of a place, [64, 64, 3] uint8.

    Args:
      place: where.
      rng: of all that has nothing to do with the place.
    """
    rows, columns = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    hills = 0.015 * np.sin(2 * np.pi * (rng.uniform(1, 3) * columns + rng.uniform()))
    horizon = (0.9 * place.latitude / 90 + 1) / 2 + hills  # from the top, 0 to 1
    hue = (place.longitude / 360) % 1
    sky = np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.6, 0.9), 1.0))
    ground = np.full(3, rng.uniform(0.2, 0.4))
    image = np.where((rows < horizon)[..., None], sky, ground)
    image = image * rng.uniform(0.7, 1)
    y, x, radius = *rng.uniform(0, 1, 2), rng.uniform(0.05, 0.15)
    cloud = ((rows - y) * 2) ** 2 + (columns - x) ** 2 < radius**2
    image[cloud] = rng.uniform(0.8, 1)
    image += rng.normal(0, 0.03, image.shape)
    return (255 * image.clip(0, 1)).round().astype(np.uint8)


def _key(split: str, number: int) -> tuple[int, int, int]:
    """What the random numbers of an image follow from."""
    return _SEED, [*SIZES].index(split), number


def _place(split: str, number: int) -> np.ndarray:
    """Latitude and longitude of an image, [2]."""
    rng = np.random.default_rng([*_key(split, number), 0])
    if rng.random() < _ALONE:
        return places_of(rng.normal(size=3))
    towns, shares = _towns()
    town = towns[rng.choice(_TOWNS, p=shares)]
    return places_of(town + rng.normal(0, 0.03, 3))  # 0.03 of the radius: 190 km


@functools.cache
def _towns() -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of the towns, and the part of the photographs near each."""
    rng = np.random.default_rng(_SEED)
    towns = unit_vectors(places_of(rng.normal(size=(_TOWNS, 3))))
    sizes = 1 / np.arange(1, _TOWNS + 1)  # Zipf's law
    return towns, sizes / sizes.sum()
