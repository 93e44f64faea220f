"""Places on the earth, taken as a sphere. Latitude and longitude are in degrees.

An array of places is [..., 2] float64: latitude, -90 to 90, and longitude, -180 to 180.
"""

import math
from typing import NamedTuple

import numpy as np

RADIUS_KM = 6371.0088  # the mean radius of the earth, as the IUGG defines it


class Place(NamedTuple):
    """Where a photograph was taken, in degrees: the target of its record."""

    latitude: float
    longitude: float


UNKNOWN_PLACE = Place(math.nan, math.nan)


def distances_km(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The great-circle distances between places, by the haversine formula.

    Args:
      a: [..., 2] places.
      b: as many.

    Returns:
      [...] float64; exact to metres, also for places that are very near.

    >>> round(float(distances_km(np.array([0.0, 179.5]), np.array([0.0, -179.5]))), 1)
    111.2
    """
    a, b = np.radians(np.asarray(a, float)), np.radians(np.asarray(b, float))
    (lat_a, lon_a), (lat_b, lon_b) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    across = np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_a - lon_b) / 2) ** 2
    half_chord = np.sqrt(np.sin((lat_a - lat_b) / 2) ** 2 + across)
    return 2 * RADIUS_KM * np.arcsin(np.minimum(half_chord, 1))


def unit_vectors(places: np.ndarray) -> np.ndarray:
    """From the centre of the earth to places, [..., 3]; z points to the north pole."""
    lat, lon = np.moveaxis(np.radians(np.asarray(places, float)), -1, 0)
    x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    return np.stack([x, y, z], axis=-1)


def places_of(vectors: np.ndarray) -> np.ndarray:
    """Where vectors from the centre, of any length above 0, leave the earth, [..., 2].

    The place of a mean of unit vectors is the mean of their places on the sphere, which
    knows no border at the poles and at the date line.
    """
    x, y, z = np.moveaxis(vectors, -1, 0)
    radians = np.stack([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)], axis=-1)
    return np.degrees(radians)


def in_words(latitude: float, longitude: float) -> str:
    """A place as people write it.

    >>> in_words(48.8584, 2.2945), in_words(-33.857, -151.215)
    ('48.86° N, 2.29° E', '33.86° S, 151.22° W')
    """
    north, east = "NS"[latitude < 0], "EW"[longitude < 0]
    return f"{abs(latitude):.2f}° {north}, {abs(longitude):.2f}° {east}"
