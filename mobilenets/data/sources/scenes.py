"""Scenes of the embedded clothes: a small set for detection and segmentation.

They are written once, as COCO JSON and mask images, and read as a user's photographs
are.
"""

import dataclasses
import json
import math
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import filelock
import numpy as np
from PIL import Image

from mobilenets.data import decoding
from mobilenets.data.masks import BACKGROUND
from mobilenets.data.sources.base import Source
from mobilenets.data.sources.embedded import SCENES
from mobilenets.data.sources.mask_files import CLASSES
from mobilenets.errors import UserError
from mobilenets.runtime import user_cache
from mobilenets.runtime.console import console

SIZES = {"train": 2000, "validation": 400}
VERSION = "2"  # of all that follows; other files need another one

_SEED = 20_170_825  # a date; changing it makes other scenes
_SIDES = (128, 192)  # pixels of a scene
_MOST_OBJECTS = 6
_FEWEST_PIXELS = 16  # of the longer side of a garment
_MOST_HIDDEN = 0.4  # of a garment by those in front of it
_TRIES = 20  # to place a garment


@dataclasses.dataclass(frozen=True)
class Scene:
    """An image, and what is in it."""

    image: np.ndarray  # [H, W, 3] uint8
    owners: np.ndarray  # [H, W] uint8: 0, or 1 + the place in `classes` of the object
    classes: list[int]


def folder_of_scenes(garments: Mapping[str, Source], data_dir: str = "") -> str:
    """The folder of the scenes, which are written if they are not there yet.

    A write that is killed leaves nothing that looks complete, and the next one starts
    anew. Of two processes, the second waits for the first.

    Args:
      garments: what the scenes of each split are composed of, with their classes.
      data_dir: where the folder is to be; "": in the user's cache.

    Raises:
      UserError: it cannot be written.
    """
    try:
        parent = pathlib.Path(data_dir).expanduser() if data_dir else _cache()
        folder = parent / SCENES / VERSION
        if folder.is_dir():
            return str(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{VERSION}.lock")):
            if not folder.is_dir():
                _write_all(garments, folder)
    except OSError as error:
        raise UserError(
            f"The scenes of {SCENES} cannot be written: {error}. Give a folder for them"
            " by --config.dataset.data_dir=FOLDER."
        ) from None
    return str(folder)


def compose(garments: Mapping[str, Source], split: str, number: int) -> Scene:
    """One scene, which follows from its split and number alone.

    Args:
      garments: see `folder_of_scenes`.
      split: one of `SIZES`.
      number: of the scene in its split.
    """
    rng = np.random.default_rng([_SEED, [*SIZES].index(split), number])
    height, width = (int(n) for n in rng.integers(_SIDES[0], _SIDES[1] + 1, 2))
    image = _background(height, width, rng)
    owners = np.zeros((height, width), np.uint8)
    classes: list[int] = []
    source = garments[split]
    for _ in range(rng.integers(1, _MOST_OBJECTS + 1)):
        record = source[int(rng.integers(len(source)))]
        grey = np.asarray(decoding.decode(record.image, record.origin))[..., 0]
        grey = _resized(grey, min(height, width), rng)
        if _place(image, owners, len(classes) + 1, grey, rng):
            classes.append(record.target)
    return Scene(image, owners, classes)


def _cache() -> pathlib.Path:
    try:
        return user_cache.folder("data")
    except RuntimeError as error:
        raise OSError(str(error)) from None


def _background(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Soft clouds of a few colours, and the noise of a camera; [H, W, 3] uint8."""
    cells = int(rng.integers(2, 7))
    base = rng.uniform(30, 225, 3)
    colors = (base + rng.normal(0, 35, (cells, cells, 3))).clip(0, 255)
    clouds = Image.fromarray(colors.astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noise = rng.standard_normal((height, width, 1), np.float32)
    noise *= np.float32(rng.uniform(0, 6))
    return (np.asarray(clouds) + noise).clip(0, 255).astype(np.uint8)


def _resized(grey: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """A garment without its margin, of a random size; [h, w] uint8, 0 around it.

    Args:
      grey: its image.
      most: pixels of its longer side.
      rng: of the size.
    """
    rows, columns = (np.flatnonzero((grey > 0).any(axis=axis)) for axis in (1, 0))
    grey = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = math.exp(rng.uniform(math.log(_FEWEST_PIXELS), math.log(most)))
    h, w = (max(4, round(n * side / max(grey.shape))) for n in grey.shape)
    image = Image.fromarray(grey).resize((w, h), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _place(
    image: np.ndarray,
    owners: np.ndarray,
    owner: int,
    grey: np.ndarray,
    rng: np.random.Generator,
) -> bool:
    """Puts a garment in front of the others, unless it would hide too much of one.

    Args:
      image: gets its pixels, in a random colour.
      owners: gets its number where it is.
      owner: that number.
      grey: its pixels, 0 around it.
      rng: of place and colour.

    Returns:
      Whether there was a place for it.
    """
    shape = grey > 0
    h, w = grey.shape
    color = rng.uniform(0.35, 1, 3) * 255 / max(1, int(grey.max()))
    sizes = np.bincount(owners.ravel(), minlength=owner)
    for _ in range(_TRIES):
        top = int(rng.integers(owners.shape[0] - h + 1))
        left = int(rng.integers(owners.shape[1] - w + 1))
        window = (slice(top, top + h), slice(left, left + w))
        hidden = np.bincount(owners[window][shape], minlength=owner)
        if (hidden[1:] <= _MOST_HIDDEN * sizes[1:]).all():
            image[window][shape] = (grey[shape][:, None] * color).astype(np.uint8)
            owners[window][shape] = owner
            return True
    return False


def _write_all(garments: Mapping[str, Source], folder: pathlib.Path) -> None:
    """Writes all scenes elsewhere first, and then moves them to their place."""
    console.print(
        f"Writing the {sum(SIZES.values()):,} scenes of {SCENES} to {folder}, once.",
        markup=False,
    )
    partial = folder.with_name(f"{VERSION}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a write that was killed
    (partial / "annotations").mkdir(parents=True)
    for split, count in SIZES.items():
        _write_split(garments, split, count, partial)
    classes = (BACKGROUND, *garments["train"].names)  # of the masks
    (partial / CLASSES).write_text("\n".join(classes) + "\n")
    partial.rename(folder)


def _write_split(
    garments: Mapping[str, Source], split: str, count: int, folder: pathlib.Path
) -> None:
    """Writes SPLIT/*.jpg, masks/SPLIT/*.png and annotations/instances_SPLIT.json."""
    images, masks = folder / split, folder / "masks" / split
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    listed, annotations = [], []
    for number in range(count):
        scene = compose(garments, split, number)
        name = f"{number + 1:06}"
        height, width = scene.owners.shape
        Image.fromarray(scene.image).save(images / f"{name}.jpg", quality=92)
        of_classes = np.array([0, *(c + 1 for c in scene.classes)], np.uint8)
        Image.fromarray(of_classes[scene.owners]).save(masks / f"{name}.png")
        entry = {"id": number + 1, "file_name": f"{name}.jpg"}
        listed.append({**entry, "width": width, "height": height})
        for annotation in _annotations(scene):
            known = {"id": len(annotations) + 1, "image_id": number + 1}
            annotations.append({**known, **annotation})
    names = enumerate(garments[split].names, start=1)
    content = {
        "images": listed,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in names],
    }
    path = folder / "annotations" / f"instances_{split}.json"
    path.write_text(json.dumps(content))


def _annotations(scene: Scene) -> list[dict[str, Any]]:
    """What COCO's file says of each object: what is seen of it, as boxes and masks."""
    from pycocotools import mask as coco_mask

    annotations = []
    for owner, number in enumerate(scene.classes, start=1):
        seen = np.asfortranarray(scene.owners == owner)
        rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
        top, left = int(rows[0]), int(columns[0])
        encoded: Any = coco_mask.encode(seen.astype(np.uint8))
        annotations.append(
            {
                "category_id": number + 1,
                "bbox": [
                    left,
                    top,
                    int(columns[-1]) + 1 - left,
                    int(rows[-1]) + 1 - top,
                ],
                "area": int(seen.sum()),
                "iscrowd": 0,
                "segmentation": {
                    "size": list(seen.shape),
                    "counts": encoded["counts"].decode(),
                },
            }
        )
    return annotations
