"""What a detector finds in photographs, in their own pixels."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from PIL import Image

from mobilenets.data.preprocessing import fit, shown
from mobilenets.detection.anchors import anchor_boxes
from mobilenets.detection.drawing import Mark, draw_marks
from mobilenets.detection.postprocessing import NO_CLASS, detect
from mobilenets.errors import UserError
from mobilenets.inference import montage
from mobilenets.inference.colors import color_of
from mobilenets.inference.prediction import (
    MOST_DRAWN,
    apply,
    labels_of,
    read_image,
    write,
)
from mobilenets.inference.trained import Net
from mobilenets.networks.detector import DetectorSpec

DEFAULT_SCORE = 0.3  # of a detection that is reported
_DRAWN_SIDE = 640  # pixels of each of several photographs
_COLUMNS = 3


@dataclasses.dataclass(frozen=True)
class DetectedObject:
    """One detection: its box in pixels of the upright photograph."""

    class_name: str
    number: int  # of the class
    score: float
    left: float
    top: float
    right: float
    bottom: float


@dataclasses.dataclass(frozen=True)
class DetectedPhoto:
    """What was found in a photograph, the highest score first."""

    path: pathlib.Path
    objects: tuple[DetectedObject, ...]


@dataclasses.dataclass(frozen=True)
class _Photo:
    """A photograph as the network sees it."""

    path: pathlib.Path
    pixels: np.ndarray  # see `prepare_image`
    to_image: np.ndarray  # see `Geometry.to_image`
    size: tuple[int, int]  # height and width of the photograph


def detect_objects(
    net: Net,
    paths: Sequence[pathlib.Path],
    on_broken: Callable[[UserError], None],
    score: float | None = None,
    iou: float | None = None,
    most: int | None = None,
) -> Iterator[DetectedPhoto]:
    """Yields what is found in each photograph that can be read.

    Args:
      net: a detector.
      paths: of the photographs.
      on_broken: is given the errors of photographs that cannot be read.
      score: the lowest score; `DEFAULT_SCORE` by default.
      iou: the overlap from which the lower of two scores of one class is dropped; by
        default that of the weights.
      most: detections in a photograph; by default that of the weights.

    Raises:
      UserError: the network gives detections of its own rule, and the values ask for
        others.
    """
    names = net.description.class_names
    chosen = {
        "score_threshold": DEFAULT_SCORE if score is None else score,
        "iou_threshold": iou,
        "detections": most,
    }
    spec = _with_postprocessing(net, chosen)
    if net.gives_detections:
        _refuse_more(net, spec, score)
    rule = spec.postprocessing
    anchors = jnp.asarray(anchor_boxes(spec))

    def found(outputs: Any) -> Any:
        raw, _ = outputs
        if net.gives_detections:
            return tuple(raw)
        return tuple(detect(raw.box_codes, raw.class_logits, anchors, spec))

    photos = _read(paths, net, on_broken)
    for photo, (boxes, scores, numbers) in apply(net, photos, found):
        # Those of an exported file may be more than are wanted.
        kept = (numbers != NO_CLASS) & (scores > rule.score_threshold)
        kept[rule.detections :] = False
        corners = _in_pixels(boxes[kept], photo).tolist()
        rows = zip(corners, scores[kept].tolist(), numbers[kept].tolist(), strict=True)
        objects = tuple(
            DetectedObject(names[number], number, score, left, top, right, bottom)
            for (top, left, bottom, right), score, number in rows
        )
        yield DetectedPhoto(photo.path, objects)


def _with_postprocessing(net: Net, chosen: Mapping[str, Any]) -> DetectorSpec:
    """The network with other values where there are some."""
    spec = cast(DetectorSpec, net.description.network)
    changes = {key: value for key, value in chosen.items() if value is not None}
    rule = dataclasses.replace(spec.postprocessing, **changes)
    return dataclasses.replace(spec, postprocessing=rule)


def _refuse_more(net: Net, wanted: DetectorSpec, score: float | None) -> None:
    """Raises UserError unless the detections of a file contain those that are wanted.

    A higher threshold or fewer detections only leave out the last ones.
    """
    given = cast(DetectorSpec, net.description.network).postprocessing
    rule = wanted.postprocessing
    if rule.iou_threshold != given.iou_threshold:
        raise UserError(
            f"--iou is {rule.iou_threshold:g}, but the exported file drops duplicates "
            f"by itself, at {given.iou_threshold:g}: leave it out."
        )
    if rule.score_threshold < given.score_threshold and score is not None:
        raise UserError(
            f"--score is {rule.score_threshold:g}, but the exported file only gives "
            f"objects above {given.score_threshold:g}: give no less."
        )
    if rule.detections > given.detections:
        raise UserError(
            f"--max-detections is {rule.detections}, but the exported file gives at "
            f"most {given.detections}: give no more."
        )


def _read(
    paths: Sequence[pathlib.Path],
    net: Net,
    on_broken: Callable[[UserError], None],
) -> Iterator[_Photo]:
    spec, preprocessing = net.description.network, net.description.preprocessing
    for path in paths:
        try:
            image = read_image(path)
        except UserError as error:
            on_broken(error)
            continue
        geometry = fit(image.width, image.height, spec.resolution, preprocessing)
        pixels = shown(image, geometry, preprocessing)
        size = (image.height, image.width)
        yield _Photo(path, pixels, geometry.to_image, size)


def _in_pixels(boxes: np.ndarray, photo: _Photo) -> np.ndarray:
    """[n, 4] from fractions of what the network sees to pixels of the photograph."""
    scale, offset = photo.to_image
    corners = boxes.reshape(-1, 2, 2) * scale + offset
    return corners.clip(0, photo.size).reshape(-1, 4)


def write_json(photos: Sequence[DetectedPhoto], path: pathlib.Path) -> None:
    """Writes a list with an object for each detection.

    With "path", "class", "score" and "box": left, top, right and bottom in pixels.

    Raises:
      UserError: the file cannot be written.
    """
    objects = [
        {
            "path": str(photo.path),
            "class": found.class_name,
            "score": found.score,
            "box": [found.left, found.top, found.right, found.bottom],
        }
        for photo in photos
        for found in photo.objects
    ]
    write(path, json.dumps(objects, indent=2) + "\n")


def write_coco(
    photos: Sequence[DetectedPhoto],
    category_ids: Mapping[str, int],
    path: pathlib.Path,
) -> None:
    """Writes COCO's format of results, as its servers and pycocotools read it.

    The id of an image is the number that its file is named by, or its name.

    Args:
      photos: what was found.
      category_ids: of the classes by their names.
      path: the file.

    Raises:
      UserError: the file cannot be written.
    """
    results = [
        {
            "image_id": int(stem) if (stem := photo.path.stem).isdecimal() else stem,
            "category_id": category_ids[found.class_name],
            "bbox": [
                found.left,
                found.top,
                found.right - found.left,
                found.bottom - found.top,
            ],
            "score": found.score,
        }
        for photo in photos
        for found in photo.objects
    ]
    write(path, json.dumps(results) + "\n")


def draw(photos: Sequence[DetectedPhoto], path: pathlib.Path) -> None:
    """Draws the boxes: one photograph as large as it is, or the first `MOST_DRAWN`.

    Args:
      photos: at least one; they are read again.
      path: the PNG file to write.

    Raises:
      UserError: the file cannot be written, or a photograph was removed.
    """
    try:
        if len(photos) == 1:
            _drawn(photos[0], None).save(path, format="PNG")
            return
        shown = photos[:MOST_DRAWN]
        titles = labels_of([photo.path for photo in shown])
        titled = [
            (np.asarray(_drawn(photo, _DRAWN_SIDE)), title, montage.NEITHER)
            for photo, title in zip(shown, titles, strict=True)
        ]
        count = sum(len(photo.objects) for photo in shown)
        heading = f"{count} detections in {len(shown)} photographs"
        montage.draw_images(titled, heading, path, _COLUMNS)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def _drawn(photo: DetectedPhoto, side: int | None) -> Image.Image:
    """The photograph with its boxes, made smaller if it has a longer side than that."""
    image = read_image(photo.path)
    size = np.array([image.height, image.width, image.height, image.width])
    marks = [
        Mark(
            np.array([found.top, found.left, found.bottom, found.right]) / size,
            f"{found.class_name} {found.score:.0%}",
            color_of(found.number),
        )
        for found in photo.objects
    ]
    if side is not None:
        image.thumbnail((side, side))
    return draw_marks(image, marks)


def is_detector(net: Net) -> bool:
    """Whether a network finds objects."""
    return isinstance(net.description.network, DetectorSpec)
