"""Photographs in a folder with the place that the camera wrote into each."""

import concurrent.futures
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import ExifTags, Image

from mobilenets.data.sources import division, photographs
from mobilenets.data.sources.base import Labelled, Record, Undivided, UnknownSplit
from mobilenets.data.sources.folder import SPLITS, existing, images_without_class
from mobilenets.errors import UserError
from mobilenets.geography.sphere import UNKNOWN_PLACE, Place
from mobilenets.runtime.console import console

_NORTH, _EAST = {"N": 1, "S": -1}, {"E": 1, "W": -1}  # the signs of degrees


class PlacedFolderSource:
    """The photographs below FOLDER/SPLIT, in the order of their paths.

    Their places are in their EXIF data. A photograph without one is left out, and how
    many are is printed. The images are turned as their EXIF orientation says.

    Args:
      folder: the root.
      split: a folder in it; without such folders "all".
      eval_fraction: above 0 all photographs below FOLDER are divided instead: this part
        is "validation", the others "train"; see `division.side`.
      labelled: unless it is "all", a photograph may have no place, which is nan.

    Raises:
      UserError: there is no such folder or split, or no photograph with a place.
    """

    names: Sequence[str] = ()
    upright = True

    def __init__(
        self,
        folder: str,
        split: str,
        eval_fraction: float = 0.0,
        labelled: Labelled = "all",
    ):
        files = _photographs(folder, split, eval_fraction)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            places = np.array([*threads.map(place_in_exif, files)], np.float64)
        if labelled == "all":
            known = np.flatnonzero(~np.isnan(places).any(axis=1)).tolist()
            _check_known(f"{folder}, split {split},", len(known), len(files))
            files, places = [files[i] for i in known], places[known]
        self.places, self._files = places, files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Record:
        path, place = self._files[index], Place(*self.places[index].tolist())
        return Record(photographs.read(path), place, photographs.shown(path))


def place_in_exif(file: pathlib.Path) -> Place:
    """Where a photograph was taken, as its EXIF data say: version 2.32, Sec. 4.6.6.

    It is unknown where they do not say it or are damaged, and at 0, 0, in the sea: that
    is what cameras write that do not know it.
    """
    try:
        with Image.open(file) as image:
            gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        tag = ExifTags.GPS
        place = Place(
            _degrees(gps[tag.GPSLatitude]) * _NORTH[gps[tag.GPSLatitudeRef]],
            _degrees(gps[tag.GPSLongitude]) * _EAST[gps[tag.GPSLongitudeRef]],
        )
    except Exception:  # Pillow raises any, where a file is damaged
        return UNKNOWN_PLACE
    is_place = abs(place.latitude) <= 90 and abs(place.longitude) <= 180  # nan is none
    return place if is_place and any(place) else UNKNOWN_PLACE


def _degrees(parts: Sequence[float]) -> float:
    """From degrees, minutes and seconds."""
    degrees, minutes, seconds = map(float, parts)
    return degrees + minutes / 60 + seconds / 3600


def _photographs(folder: str, split: str, eval_fraction: float) -> list[pathlib.Path]:
    """The photographs of a split."""
    root = existing(folder)
    if eval_fraction:
        files = images_without_class(root, to_tell=split == division.TRAIN)
        names = [file.relative_to(root).as_posix() for file in files]
        sides = [division.side(name, eval_fraction) for name in names]
        division.check(folder, split, sides)
        return [file for file, side in zip(files, sides, strict=True) if side == split]
    folders = photographs.folders(root, photographs.Ignored())
    if split in folders:
        return images_without_class(root / split)
    if {*folders} & {*SPLITS}:
        raise UnknownSplit(folder, split, folders)
    if split != division.WHOLE:
        raise Undivided(f"dataset.folder {folder} has no folder {split}.")
    return images_without_class(root)


def _check_known(place: str, known: int, photos: int) -> None:
    """Prints how many photographs are left out; it cannot be all of them.

    Args:
      place: where they are.
      known: those with a place.
      photos: all of them.
    """
    if not known:
        raise UserError(
            f"{place} has no photograph with a place in its EXIF data, which many "
            "programs remove: give dataset.table with the columns path, latitude and "
            "longitude."
        )
    if known < photos:
        console.print(
            f"{place} has {photos:,} photographs. Left out, without a place in their "
            f"EXIF data: {photos - known:,}.",
            markup=False,
        )
