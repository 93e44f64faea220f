"""What a segmenter says of the pixels of photographs."""

import dataclasses
import json
import operator
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from mobilenets.data.geometry import Color, Geometry
from mobilenets.data.preprocessing import fill_color, fit, shown
from mobilenets.errors import UserError
from mobilenets.inference import montage
from mobilenets.inference.overlay import (
    as_palette_image,
    class_colors,
    overlaid,
    with_legend,
)
from mobilenets.inference.prediction import MOST_DRAWN, labels_of, read_image, write
from mobilenets.inference.trained import Net
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.segmentation.labelling import classes_of_image
from mobilenets.segmentation.tiles import classes_by_tiles

_DRAWN_SIDE = 640  # pixels of each of several photographs
_COLUMNS = 3
_LEAST_SHARE = 0.001  # of the pixels of a class that is printed


@dataclasses.dataclass(frozen=True)
class SegmentedPhoto:
    """The classes of the pixels of a photograph, upright and in its own size."""

    path: pathlib.Path
    classes: np.ndarray  # [H, W] uint8


@dataclasses.dataclass(frozen=True)
class Found:
    """What is kept of a photograph.

    Args:
      path: of the photograph.
      shares: of the classes that it has, by their names, the largest first.
      drawn: the photograph with the classes over it; None if it is not drawn.
      mask: the file of the mask.
    """

    path: pathlib.Path
    shares: Mapping[str, float]
    drawn: Image.Image | None
    mask: pathlib.Path

    @property
    def told(self) -> dict[str, float]:
        """The shares that are printed."""
        return {n: share for n, share in self.shares.items() if share >= _LEAST_SHARE}


def segment(
    net: Net,
    paths: Sequence[pathlib.Path],
    on_broken: Callable[[UserError], None],
    tile: int | None = None,
) -> Iterator[SegmentedPhoto]:
    """Yields the classes of each photograph that can be read, one after the other.

    The network is compiled for each size of its input. Weights whose preprocessing is
    "keep" or "short_side" see photographs of other shapes in other sizes. A file has
    one size: with "keep" its tiles have that, and what is beyond the photograph is
    filled with the mean colour.

    Args:
      net: a segmenter.
      paths: of the photographs.
      on_broken: is given the errors of photographs that cannot be read.
      tile: height and width of the parts that are seen one after the other, so that
        memory does not grow with the photograph; see `classes_by_tiles`. None: the
        whole photograph is seen at once.

    Raises:
      UserError: tiles, or tiles of this size, are not for these weights, or a file has
        one size and its weights need several.
    """
    preprocessing = net.description.preprocessing
    resolution = net.description.network.resolution
    tile = _checked_tile(net, tile)
    run = net.compiled(_logits)

    def classes_of(pixels: np.ndarray) -> np.ndarray:
        height, width, _ = pixels.shape
        if not net.takes_any_size:
            pixels = _filled_up(pixels, resolution, fill_color(preprocessing))
        (logits,) = run(pixels[None])
        classes = np.asarray(logits[0].argmax(-1).astype(jnp.uint8))
        return classes[:height, :width]

    for path in paths:
        try:
            image = read_image(path)
        except UserError as error:
            on_broken(error)
            continue
        geometry = fit(image.width, image.height, resolution, preprocessing)
        if preprocessing.resize == "keep":
            pixels = np.asarray(image)
            classes = (
                classes_of(pixels)
                if tile is None
                else classes_by_tiles(classes_of, pixels, tile)
            )
        else:
            pixels = shown(image, geometry, preprocessing)
            (logits,) = run(pixels[None])
            classes = _in_own_size(logits, geometry, (image.height, image.width))
        yield SegmentedPhoto(path, classes)


def _checked_tile(net: Net, tile: int | None) -> int | None:
    """The size of the parts in which photographs are seen; None: whole.

    Raises:
      UserError: see `segment`.
    """
    resize = net.description.preprocessing.resize
    resolution = net.description.network.resolution
    if tile is not None and resize != "keep":
        raise UserError(
            "--tile is for weights that see photographs as large as they are "
            "(preprocessing.resize=keep), but these see the whole photograph at "
            f"{resolution} pixels: leave it out."
        )
    if net.takes_any_size:
        return tile
    if resize == "short_side":
        raise UserError(
            f"The exported file takes images of {resolution} x {resolution} pixels, but"
            " its weights see photographs in their own shapes "
            "(preprocessing.resize=short_side): give the weights."
        )
    if tile not in (None, resolution):
        raise UserError(
            f"--tile is {tile}, but the exported file sees parts of {resolution} x "
            f"{resolution} pixels: leave it out, or give the weights."
        )
    return resolution if resize == "keep" else None


def _logits(outputs: Any) -> tuple[jax.Array]:
    raw, _ = outputs
    return (raw.logits,)


def _filled_up(pixels: np.ndarray, side: int, color: Color) -> np.ndarray:
    """The image with this height and width, a colour below and beside it."""
    result = np.full((side, side, 3), color, pixels.dtype)
    result[: pixels.shape[0], : pixels.shape[1]] = pixels
    return result


def _in_own_size(
    logits: jax.Array, geometry: Geometry, size: tuple[int, int]
) -> np.ndarray:
    to_image = jnp.asarray(geometry.to_image[None])
    found = jax.jit(classes_of_image, static_argnums=2)(logits, to_image, size)
    return np.asarray(found[0])


def write_masks(
    photos: Iterator[SegmentedPhoto],
    paths: Sequence[pathlib.Path],
    class_names: Sequence[str],
    folder: pathlib.Path,
) -> list[Found]:
    """Writes the mask of each photograph as soon as it is known; draws the first ones.

    A mask is a PNG whose values are the numbers of the classes, with a palette of their
    colours, so that it can be used as it is in `masks/SPLIT` of a data set.

    Args:
      photos: of `segment`.
      paths: all that may come.
      class_names: of the classes.
      folder: for the masks, an existing one.

    Raises:
      UserError: a file cannot be written.
    """
    names = mask_names(paths)
    colors = class_colors(class_names)
    found: list[Found] = []
    for photo in photos:
        mask = folder / names[photo.path]
        try:
            mask.parent.mkdir(parents=True, exist_ok=True)
            as_palette_image(photo.classes, colors).save(mask)
        except OSError as error:
            raise UserError(f"{mask} cannot be written: {error.strerror}.") from None
        counts = np.bincount(photo.classes.ravel(), minlength=len(class_names))
        shares = dict(zip(class_names, (counts / counts.sum()).tolist(), strict=True))
        shares = {n: s for n, s in shares.items() if s}
        shares = dict(sorted(shares.items(), key=operator.itemgetter(1), reverse=True))
        side = None if len(paths) == 1 else _DRAWN_SIDE
        is_drawn = len(found) < MOST_DRAWN
        drawn = _drawn(photo, class_names, side) if is_drawn else None
        found.append(Found(photo.path, shares, drawn, mask))
    return found


def mask_names(paths: Sequence[pathlib.Path]) -> dict[pathlib.Path, pathlib.Path]:
    """The file of each photograph's mask: its name, or its path where names repeat.

    A path is then that from the folder in which all photographs are. Photographs whose
    paths differ only in the suffix keep it.

    >>> a, b = (pathlib.Path(f"photos/{name}.jpg") for name in "ab")
    >>> [str(mask) for mask in mask_names([a, b]).values()]
    ['a.png', 'b.png']
    >>> [str(mask) for mask in mask_names([a, pathlib.Path("c/a.jpg")]).values()]
    ['photos/a.png', 'c/a.png']
    """
    names = {path: pathlib.Path(path.stem) for path in paths}
    if _repeats(names):
        inside = _from_common_folder(paths)
        names = {path: name.with_suffix("") for path, name in inside.items()}
        names = inside if _repeats(names) else names
    return {path: name.with_name(f"{name.name}.png") for path, name in names.items()}


def _repeats(names: Mapping[pathlib.Path, pathlib.Path]) -> bool:
    return len({*names.values()}) < len(names)


def _from_common_folder(
    paths: Sequence[pathlib.Path],
) -> dict[pathlib.Path, pathlib.Path]:
    """Each path from the folder in which all of them are."""
    absolute = {path: os.path.abspath(path) for path in paths}
    folder = os.path.commonpath([os.path.dirname(place) for place in absolute.values()])
    return {
        path: pathlib.Path(os.path.relpath(place, folder))
        for path, place in absolute.items()
    }


def write_json(found: Sequence[Found], path: pathlib.Path) -> None:
    """Writes a list with an object for each photograph.

    With "path", "mask", and in "classes" the part of the pixels of each class.

    Raises:
      UserError: the file cannot be written.
    """
    objects = [
        {"path": str(photo.path), "mask": str(photo.mask), "classes": photo.shares}
        for photo in found
    ]
    write(path, json.dumps(objects, indent=2) + "\n")


def draw(found: Sequence[Found], path: pathlib.Path) -> None:
    """Draws the overlays: one photograph as large as it is, or the first ones.

    Args:
      found: at least one.
      path: the PNG file to write.

    Raises:
      UserError: the file cannot be written.
    """
    try:
        drawn = [photo.drawn for photo in found if photo.drawn is not None]
        if len(found) == 1:
            drawn[0].save(path, format="PNG")
            return
        titles = labels_of([photo.path for photo in found[: len(drawn)]])
        titled = [
            (np.asarray(image), title, montage.NEITHER)
            for image, title in zip(drawn, titles, strict=True)
        ]
        heading = f"The classes of the pixels in {len(drawn)} photographs"
        montage.draw_images(titled, heading, path, _COLUMNS)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def _drawn(
    photo: SegmentedPhoto, class_names: Sequence[str], side: int | None
) -> Image.Image:
    """The overlay with its legend, made smaller if its side would be longer."""
    image = read_image(photo.path)
    colors = class_colors(class_names)
    drawn = Image.fromarray(overlaid(np.asarray(image), photo.classes, colors))
    if side is not None:
        drawn.thumbnail((side, side))
    present = map(int, np.unique(photo.classes))
    legend = [(class_names[number], colors[number]) for number in present]
    return with_legend(drawn, legend)


def is_segmenter(net: Net) -> bool:
    """Whether a network labels pixels."""
    return isinstance(net.description.network, SegmenterSpec)
