"""Predictions and features of a trained network for photographs."""

import csv
import dataclasses
import io
import itertools
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import jax
import numpy as np
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state
from PIL import Image

from mobilenets.config.schema import Preprocessing
from mobilenets.data import imagenet
from mobilenets.data.decoding import decode
from mobilenets.data.preprocessing import prepare_image
from mobilenets.data.sources import photographs
from mobilenets.errors import UserError
from mobilenets.inference.trained import Net
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import BackboneSpec
from mobilenets.runtime.drawing import as_drawn, as_text

BATCH_SIZE = 16  # one size, so that the network is compiled once
MOST_DRAWN = 30  # photographs in one picture
MOST_BARS = 10  # classes of one photograph


@dataclasses.dataclass(frozen=True)
class Photo:
    """An image file, preprocessed for a network."""

    path: pathlib.Path
    pixels: np.ndarray  # see `prepare_image`


class _HasPixels(Protocol):
    @property
    def pixels(self) -> np.ndarray: ...


AnyPhoto = TypeVar("AnyPhoto", bound=_HasPixels)


@dataclasses.dataclass(frozen=True)
class OfPhoto:
    """What is predicted for a photograph."""

    photo: Photo


AnyPrediction = TypeVar("AnyPrediction", bound=OfPhoto)


@dataclasses.dataclass(frozen=True)
class Prediction(OfPhoto):
    """The prediction for a photograph: one class of several, or attributes.

    Args:
      photo: the photograph.
      classes: names and probabilities, the most likely first.
      threshold: the lowest probability of the attributes; None for classes.
    """

    classes: tuple[tuple[str, float], ...]
    threshold: float | None = None


def read_photo(
    path: pathlib.Path, resolution: int, preprocessing: Preprocessing
) -> Photo:
    """Reads an image as in evaluation.

    Raises:
      UserError: there is no such file, or it is not an image.
    """
    return Photo(path, prepare_image(read_image(path), resolution, preprocessing))


def read_image(path: pathlib.Path) -> Image.Image:
    """The image of a file, turned upright.

    Raises:
      UserError: there is no such file, or it is not an image.
    """
    return decode(photographs.read(path), photographs.shown(path), upright=True)


def read_photos(
    paths: Sequence[pathlib.Path],
    net: Net,
    on_broken: Callable[[UserError], None],
) -> Iterator[Photo]:
    """Yields the photographs that can be read; errors of others go to `on_broken`."""
    spec, preprocessing = net.description.network, net.description.preprocessing
    for path in paths:
        try:
            yield read_photo(path, spec.resolution, preprocessing)
        except UserError as error:
            on_broken(error)


def predict(
    net: Net,
    photos: Iterable[Photo],
    top: int | None = None,
    threshold: float | None = None,
) -> Iterator[Prediction]:
    """Yields the most likely classes of each photograph, or its attributes.

    WordNet ids of ImageNet are replaced by the names of the classes.

    Args:
      net: a network with classes or attributes.
      photos: from `read_photos` for the same network.
      top: the number of classes; 5 by default.
      threshold: the lowest probability of an attribute; by default that of the weights.

    Raises:
      UserError: the network has no classes, or does not take this argument.
    """
    description = net.description
    if isinstance(description.network, BackboneSpec):
        raise UserError(
            "The weights are a backbone without classes: train them with init_from, or "
            "use `mobilenets features`."
        )
    if isinstance(description.network, DetectorSpec):
        raise UserError(
            "The weights are a detector, which has no classes for a whole image: give "
            "weights of a classifier."
        )
    if isinstance(description.network, SegmenterSpec):
        raise UserError(
            "The weights are a segmenter, which has no classes for a whole image: give "
            "weights of a classifier."
        )
    if description.threshold is None and threshold is not None:
        raise UserError(
            "--threshold is for weights that predict attributes, but these predict one "
            "class per image: leave it out, or give --top."
        )
    if description.threshold is not None and top is not None:
        raise UserError(
            "--top is for weights that predict one class per image, but these predict "
            "attributes: leave it out, or give --threshold."
        )
    names = [imagenet.in_words(name) for name in description.class_names]
    if description.threshold is None:
        return _classes(net, photos, names, 5 if top is None else top)
    chosen = description.threshold if threshold is None else threshold
    return _attributes(net, photos, names, chosen)


def _classes(
    net: Net, photos: Iterable[Photo], names: Sequence[str], top: int
) -> Iterator[Prediction]:
    def likeliest(outputs: Any) -> Any:
        logits, _ = outputs
        return jax.lax.top_k(jax.nn.softmax(logits), min(top, len(names)))

    for photo, row in apply(net, photos, likeliest):
        classes = tuple((names[int(i)], float(p)) for p, i in zip(*row, strict=True))
        yield Prediction(photo, classes)


def _attributes(
    net: Net, photos: Iterable[Photo], names: Sequence[str], threshold: float
) -> Iterator[Prediction]:
    def probabilities(outputs: Any) -> Any:
        logits, _ = outputs
        return (jax.nn.sigmoid(logits),)

    for photo, (row,) in apply(net, photos, probabilities):
        order: list[int] = np.argsort(-row, stable=True).tolist()
        found = tuple((names[i], float(row[i])) for i in order if row[i] >= threshold)
        yield Prediction(photo, found, threshold)


def keep_few_pixels(predictions: Iterable[AnyPrediction]) -> list[AnyPrediction]:
    """A list in which only the photographs that are drawn have their pixels."""
    nothing = np.empty((0, 0, 3), np.uint8)
    kept = []
    for i, prediction in enumerate(predictions):
        if i >= MOST_DRAWN:
            photo = Photo(prediction.photo.path, nothing)
            prediction = dataclasses.replace(prediction, photo=photo)
        kept.append(prediction)
    return kept


def features(
    net: Net, photos: Iterable[Photo]
) -> Iterator[tuple[pathlib.Path, np.ndarray]]:
    """Yields the path of each photograph and its feature vector, [C] float32.

    The vector is the input of the logits; for a backbone it is the mean of "features"
    over height and width, for a detector or segmenter that of its `feature_map`.
    """
    network = net.description.network

    def vectors(outputs: Any) -> Any:
        if isinstance(network, BackboneSpec):
            return (outputs["features"].mean((1, 2)),)
        _, endpoints = outputs
        if isinstance(network, DetectorSpec | SegmenterSpec):
            return (endpoints[network.feature_map].mean((1, 2)),)
        return (endpoints["pre_logits"],)

    for photo, (vector,) in apply(net, photos, vectors):
        yield photo.path, vector


def write_json(predictions: Sequence[Prediction], path: pathlib.Path) -> None:
    """Writes a list with an object for each class of each photograph.

    With "path", "class" (or "attribute") and "probability".

    Raises:
      UserError: the file cannot be written.
    """
    kind = _kind(predictions)
    keys = ("path", kind, "probability")
    objects = [dict(zip(keys, row, strict=True)) for row in _rows(predictions)]
    write(path, json.dumps(objects, indent=2) + "\n")


def write_csv(predictions: Sequence[Prediction], path: pathlib.Path) -> None:
    """Writes a table with a row for each class of each photograph.

    Its columns are path, class (or attribute) and probability.

    Raises:
      UserError: the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", _kind(predictions), "probability"])
    table.writerows(_rows(predictions))
    write(path, text.getvalue())


def _kind(predictions: Sequence[Prediction]) -> str:
    """What the names of one network's predictions are."""
    one_class = any(prediction.threshold is None for prediction in predictions)
    return "class" if one_class else "attribute"


def _rows(
    predictions: Sequence[Prediction],
) -> Iterator[tuple[str, str, float | None]]:
    """A row for each class; one without a name for a photograph that has none."""
    for prediction in predictions:
        for name, probability in prediction.classes or [("", None)]:
            yield photographs.shown(prediction.photo.path), name, probability


def write(path: pathlib.Path, text: str) -> None:
    """Writes a text file.

    Raises:
      UserError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def save_features(
    vectors: Mapping[pathlib.Path, np.ndarray], folder: str, path: pathlib.Path
) -> None:
    """Writes an .npz file: "features", [images, C], and "paths", within the folder.

    Raises:
      UserError: the file cannot be written.
    """
    root = pathlib.Path(folder).expanduser()
    names = [str(photo.relative_to(root)) for photo in vectors]
    try:
        np.savez_compressed(
            path, features=np.stack([*vectors.values()]), paths=np.array(names)
        )
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def images_in(folder: str) -> list[pathlib.Path]:
    """The photographs in a folder and the folders in it, in the order of their names.

    They are those of training, see `photographs`; what else is there is told.

    Raises:
      UserError: there is no such folder, or no image in it.
    """
    root = pathlib.Path(folder).expanduser()
    if not root.is_dir():
        raise UserError(f"{folder} is not a folder.")
    ignored = photographs.Ignored()
    paths = photographs.find(root, ignored)
    photographs.tell_ignored(folder, ignored)
    if not paths:
        kinds = ", ".join(photographs.SUFFIXES)
        raise UserError(f"{folder} holds no images: it must have {kinds} files.")
    return paths


def photos_in(places: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """The files themselves, and the images in the folders; each once, in this order.

    Raises:
      UserError: there is no image in a folder.
    """
    paths: list[pathlib.Path] = []
    for place in places:
        paths += images_in(str(place)) if place.is_dir() else [place]
    return list(dict.fromkeys(paths))


@as_text
def draw_predictions(predictions: Sequence[Prediction], path: pathlib.Path) -> None:
    """Draws the first `MOST_DRAWN` photographs with a bar for each of their classes.

    For attributes a line marks the threshold.

    Args:
      predictions: at least one.
      path: the PNG file to write.

    Raises:
      UserError: the file cannot be written.
    """
    predictions = predictions[:MOST_DRAWN]
    columns = min(3, len(predictions))
    rows = -(-len(predictions) // columns)
    bars = max(1, min(MOST_BARS, max(len(p.classes) for p in predictions)))
    height = 2.6 + 0.22 * bars
    figure = Figure(figsize=(4.2 * columns, height * rows), layout="constrained")
    grid = figure.add_gridspec(
        2 * rows, columns, height_ratios=[2.6, 0.22 * bars] * rows
    )
    names = labels(predictions)
    for i, prediction in enumerate(predictions):
        row, column = divmod(i, columns)
        picture = figure.add_subplot(grid[2 * row, column])
        picture.imshow(as_drawn(prediction.photo.pixels))
        picture.set_axis_off()
        picture.set_title(names[i], fontsize=9)
        axis = figure.add_subplot(grid[2 * row + 1, column])
        _draw_bars(axis, prediction.classes[:bars], bars, prediction.threshold)
    try:
        figure.savefig(path, dpi=110, format="png")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def labels(predictions: Sequence[Prediction]) -> list[str]:
    """The `labels_of` the photographs."""
    return labels_of([prediction.photo.path for prediction in predictions])


def labels_of(paths: Sequence[pathlib.Path]) -> list[str]:
    """The names of the files; their paths where two files have one name."""
    names = [photographs.shown(pathlib.Path(path.name)) for path in paths]
    is_clear = len({*names}) == len({*paths})
    return names if is_clear else [*map(photographs.shown, paths)]


def _draw_bars(
    axis: Any,
    classes: Sequence[tuple[str, float]],
    lines: int,
    threshold: float | None,
) -> None:
    """A bar for each class, its name and probability on it; room for so many lines."""
    axis.barh(range(len(classes)), [p for _, p in classes], color="#9cc3e6")
    for line, (name, p) in enumerate(classes):
        axis.text(0.02, line, f"{name}  {p:.1%}", va="center", fontsize=8)
    if not classes:
        axis.text(0.02, 0, f"nothing from {threshold:.0%} on", va="center", fontsize=8)
    if threshold is not None:
        axis.axvline(threshold, color="#c62828", linestyle="--", linewidth=1)
    axis.set(xlim=(0, 1), ylim=(lines - 0.5, -0.5), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def apply(
    net: Net, photos: Iterable[AnyPhoto], result: Callable[[Any], Any]
) -> Iterator[tuple[AnyPhoto, tuple]]:
    """What is made of the network's outputs for each photograph.

    Args:
      net: the network.
      photos: with `pixels`, as `Photo` has them.
      result: from the outputs for a batch to a tuple of arrays; it is compiled.
    """
    run = net.compiled(result)
    photos = iter(photos)
    while batch := list(itertools.islice(photos, BATCH_SIZE)):
        pixels = np.stack([photo.pixels for photo in batch])
        missing = BATCH_SIZE - len(batch)
        padded = np.pad(pixels, [(0, missing), (0, 0), (0, 0), (0, 0)])
        outputs = jax.device_get(run(padded))
        rows = zip(*(output[: len(batch)] for output in outputs), strict=True)
        yield from zip(batch, rows, strict=True)
