"""What a trained network says of photographs, and its features of them."""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state

from mobilenets.config.schema import Preprocessing
from mobilenets.data import imagenet
from mobilenets.data.decoding import decode
from mobilenets.data.preprocessing import prepare_image
from mobilenets.data.sources.base import IMAGE_SUFFIXES
from mobilenets.errors import UserError
from mobilenets.inference.trained import TrainedNet
from mobilenets.nn.normalization import normalize

BATCH_SIZE = 16  # one size, so that the network is compiled once
MOST_DRAWN = 30  # photographs in one picture
MOST_BARS = 10  # classes of one photograph


@dataclasses.dataclass(frozen=True)
class Photo:
    """An image file as the network sees it."""

    path: pathlib.Path
    pixels: np.ndarray  # [resolution, resolution, 3] uint8


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The likeliest classes of a photograph."""

    photo: Photo
    classes: tuple[tuple[str, float], ...]  # name and probability, likeliest first


def read_photo(
    path: pathlib.Path, resolution: int, preprocessing: Preprocessing
) -> Photo:
    """An image as in evaluation.

    Raises:
      UserError: there is no such file, or it is no image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read the image {path}: {error.strerror}.") from None
    image = decode(content, str(path), upright=True)
    return Photo(path, prepare_image(image, resolution, preprocessing))


def read_photos(
    paths: Sequence[pathlib.Path],
    net: TrainedNet,
    on_broken: Callable[[UserError], None],
) -> Iterator[Photo]:
    """The photographs that can be read; the others are told and left out."""
    spec, preprocessing = net.description.network, net.description.preprocessing
    for path in paths:
        try:
            yield read_photo(path, spec.resolution, preprocessing)
        except UserError as error:
            on_broken(error)


def predict(net: TrainedNet, photos: Iterable[Photo], top: int = 5) -> list[Prediction]:
    """The `top` likeliest classes of each photograph.

    Classes that are named by ImageNet's WordNet ids are given their names.
    """
    names = [imagenet.in_words(name) for name in net.description.class_names]
    top = min(top, len(names))

    def classes(outputs: Any) -> Any:
        logits, _ = outputs
        return jax.lax.top_k(jax.nn.softmax(logits), top)

    return [
        Prediction(
            photo,
            tuple((names[i], float(p)) for p, i in zip(*row, strict=True)),
        )
        for photo, row in _apply(net, photos, classes)
    ]


def features(
    net: TrainedNet, photos: Iterable[Photo]
) -> Iterator[tuple[pathlib.Path, np.ndarray]]:
    """The path of each photograph and the vector before its logits, [C] float32."""

    def pre_logits(outputs: Any) -> Any:
        _, endpoints = outputs
        return (endpoints["pre_logits"],)

    for photo, (vector,) in _apply(net, photos, pre_logits):
        yield photo.path, vector


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
    """The image files in a folder and the folders in it, in the order of their names.

    Raises:
      UserError: there is no such folder, or no image in it.
    """
    root = pathlib.Path(folder).expanduser()
    if not root.is_dir():
        raise UserError(f"{folder} is not a folder.")
    paths = [p for p in sorted(root.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise UserError(f"{folder} holds no images: expected are files {kinds}.")
    return paths


def draw_predictions(predictions: Sequence[Prediction], path: pathlib.Path) -> None:
    """Draws the first `MOST_DRAWN` photographs with a bar for each of their classes.

    Args:
      predictions: at least one.
      path: the PNG file to write.

    Raises:
      UserError: the file cannot be written.
    """
    predictions = predictions[:MOST_DRAWN]
    columns = min(3, len(predictions))
    rows = -(-len(predictions) // columns)
    bars = min(MOST_BARS, max(len(p.classes) for p in predictions))
    height = 2.6 + 0.22 * bars
    figure = Figure(figsize=(4.2 * columns, height * rows), layout="constrained")
    grid = figure.add_gridspec(
        2 * rows, columns, height_ratios=[2.6, 0.22 * bars] * rows
    )
    names = labels(predictions)
    for i, prediction in enumerate(predictions):
        row, column = divmod(i, columns)
        picture = figure.add_subplot(grid[2 * row, column])
        picture.imshow(prediction.photo.pixels)
        picture.set_axis_off()
        picture.set_title(names[i], fontsize=9)
        axis = figure.add_subplot(grid[2 * row + 1, column])
        _draw_bars(axis, prediction.classes[:bars])
    try:
        figure.savefig(path, dpi=110, format="png")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def labels(predictions: Sequence[Prediction]) -> list[str]:
    """The names of the files; their paths where two files have one name."""
    paths = [prediction.photo.path for prediction in predictions]
    names = [path.name for path in paths]
    return names if len({*names}) == len({*paths}) else [str(path) for path in paths]


def _draw_bars(axis: Any, classes: Sequence[tuple[str, float]]) -> None:
    """A bar for each class, its name and probability on it."""
    lines = range(len(classes))
    axis.barh(lines, [p for _, p in classes], color="#9cc3e6")
    for line, (name, p) in zip(lines, classes, strict=True):
        axis.text(0.02, line, f"{name}  {p:.1%}", va="center", fontsize=8)
    axis.set(xlim=(0, 1), ylim=(len(classes) - 0.5, -0.5), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _apply(
    net: TrainedNet, photos: Iterable[Photo], result: Callable[[Any], Any]
) -> Iterator[tuple[Photo, tuple]]:
    """What `result` makes of the network's logits and endpoints for each photograph."""
    preprocessing = net.description.preprocessing

    @jax.jit
    def run(variables: Any, pixels: jax.Array) -> Any:
        images = normalize(pixels, preprocessing)
        return result(net.model.apply(variables, images))

    variables = jax.device_put(net.variables)
    photos = iter(photos)
    while batch := list(itertools.islice(photos, BATCH_SIZE)):
        pixels = np.stack([photo.pixels for photo in batch])
        missing = BATCH_SIZE - len(batch)
        padded = np.pad(pixels, [(0, missing), (0, 0), (0, 0), (0, 0)])
        outputs = jax.device_get(run(variables, padded))
        rows = zip(*(output[: len(batch)] for output in outputs), strict=True)
        yield from zip(batch, rows, strict=True)
