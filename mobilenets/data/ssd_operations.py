"""The random crops of SSD, Liu et al. 2016, arXiv:1512.02325, which look at the boxes.

Both draw a box in pixels of the image, of which `Geometry` makes the change.
"""

import math

import numpy as np

from mobilenets.config.schema import Expand, SsdCrop
from mobilenets.data.boxes import Boxes
from mobilenets.data.geometry import Box

# Sec. 2.2, "Data augmentation". Each of these, the whole image and any patch are drawn
# equally often.
MIN_OVERLAPS = (0.1, 0.3, 0.5, 0.7, 0.9)
TRIES = 50  # for a patch that overlaps enough


def draw_canvas(box: Box, rng: np.random.Generator, expand: Expand) -> Box:
    """A canvas around a box of the image, in half of all draws; else the box.

    SSD, Sec. 3.6: the image is placed on a canvas of up to 16 times its area, which is
    filled with the mean, "before we do any random crop operation".
    """
    if rng.random() < 0.5:
        return box
    left, top, right, bottom = box
    ratio = rng.uniform(1.0, expand.max_ratio)
    w, h = round((right - left) * ratio), round((bottom - top) * ratio)
    left -= int(rng.integers(w - (right - left) + 1))
    top -= int(rng.integers(h - (bottom - top) + 1))
    return left, top, left + w, top + h


def draw_ssd_crop(
    box: Box, boxes: Boxes, rng: np.random.Generator, crop: SsdCrop
) -> Box:
    """The whole of a box of the image, or a patch of it that shows an object well.

    Drawn equally often: the whole; a patch whose intersection over union with some
    object is at least .1, .3, .5, .7 or .9; any patch. A patch has the centre of an
    object at least, since otherwise it shows none. If `TRIES` draws give no such patch,
    or there are no objects, it is the whole. Crowds are no objects here.

    TensorFlow Object Detection's `ssd_random_crop` differs: it asks how much of an
    object the patch covers, not for the intersection over union; its last minimum is 1,
    any whole object; in .15 of all draws it keeps the whole image before it draws a
    minimum; and it keeps the boxes of which the same part is covered, wherever their
    centres are.
    """
    least = (None, *MIN_OVERLAPS, 0.0)[rng.integers(len(MIN_OVERLAPS) + 2)]
    objects = boxes.corners[~boxes.crowd].astype(np.float64)
    if least is None or not len(objects):
        return box
    patches = _draw_patches(box, rng, crop)
    good = _have_center(patches, objects) & (
        _overlaps(patches, objects).max(axis=1) >= least
    )
    if not good.any():
        return box
    left, top, right, bottom = patches[good.argmax()].tolist()  # of the first
    return left, top, right, bottom


def _draw_patches(box: Box, rng: np.random.Generator, crop: SsdCrop) -> np.ndarray:
    """Random parts of a box, whose widths and heights are fractions of the box's.

    Returns:
      [TRIES, 4] integers: left, top, right, bottom.
    """
    start, whole = np.array(box[:2]), np.array(box[2:]) - box[:2]
    side = rng.uniform(math.sqrt(crop.min_area), 1.0, TRIES)  # root of the area
    largest_log = np.minimum(math.log(crop.max_aspect_ratio), 2 * np.abs(np.log(side)))
    stretch = np.exp(rng.uniform(-largest_log, largest_log) / 2)
    fractions = np.stack([side * stretch, side / stretch], axis=1).clip(max=1.0)
    sizes = np.maximum(1, np.round(whole * fractions)).astype(np.int64)
    places = start + rng.integers(np.asarray(whole - sizes + 1, np.int64))
    return np.hstack([places, places + sizes])


def _overlaps(patches: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Intersection over union of each patch with each box, [patches, n]."""
    ends = patches[:, None]
    first = np.maximum(corners[:, :2], ends[..., [1, 0]])
    last = np.minimum(corners[:, 2:], ends[..., [3, 2]])
    shared = np.prod((last - first).clip(0), axis=-1)
    areas = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    of_patches = np.prod(patches[:, 2:] - patches[:, :2], axis=1)
    return shared / (areas + of_patches[:, None] - shared)


def _have_center(patches: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Whether each patch has the centre of a box, [patches]."""
    centers, ends = (corners[:, :2] + corners[:, 2:]) / 2, patches[:, None]
    inside = (centers > ends[..., [1, 0]]) & (centers < ends[..., [3, 2]])
    return np.any(np.all(inside, axis=-1), axis=1)
