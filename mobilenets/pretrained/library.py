"""What the converter must know of a library: its models, names and layout."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from mobilenets.config.schema import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Channels,
    Preprocessing,
)
from mobilenets.errors import UserError
from mobilenets.networks import complexity
from mobilenets.networks.architectures import get_spec
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import ClassifierSpec, HasBackbone, Padding

Interpolation = Literal["bilinear", "bicubic"]

# Layers of ours ("block3/expand") and the modules that hold them in a library: a
# convolution and its batch norm, or only a dense layer.
Names = dict[str, tuple[str, ...]]

# What is subtracted from and divided into values of 0 to 255: the statistics of
# ImageNet, or so that the range becomes -1 to 1.
Normalization = dict[str, Channels]
IMAGENET: Normalization = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
MINUS_ONE_TO_ONE: Normalization = {
    "mean": (127.5, 127.5, 127.5),
    "std": (127.5, 127.5, 127.5),
}


class Weights:
    """The arrays of a state that are not taken yet, by the library's keys."""

    def __init__(self, arrays: Mapping[str, Any], model: str):
        self._arrays = dict(arrays)
        self._model = model

    @property
    def left(self) -> Mapping[str, Any]:
        """What is not taken yet."""
        return self._arrays

    def size(self, key: str) -> int:
        """The number of elements of an array, which stays.

        Raises:
          UserError: there is no such key.
        """
        return np.size(self._find(key))

    def take(
        self,
        key: str,
        shape: tuple[int, ...],
        to_our_layout: Callable[[np.ndarray], np.ndarray] = lambda array: array,
    ) -> np.ndarray:
        """Takes out an array.

        Args:
          key: the library's.
          shape: what the array must have in our layout.
          to_our_layout: brings it there.

        Returns:
          [*shape] float32.

        Raises:
          UserError: there is no such key, the shape is another, or the values are whole
            numbers, as quantised weights are, or not finite.
        """
        array = to_our_layout(np.asarray(self._find(key)))
        if array.shape != shape:  # before it is copied: a view can be of any size
            raise UserError(
                f"The key {key} of the weights has the shape {array.shape} in our "
                f"layout, but {self._model} needs {shape}."
            )
        if array.dtype.kind in "biu":
            raise UserError(
                f"The key {key} of the weights holds {array.dtype} instead of floating-"
                "point numbers: give weights that are not quantised."
            )
        del self._arrays[key]
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise UserError(
                f"The key {key} of the weights holds values that are not finite: the "
                "training has diverged, or the file is damaged. Give another one."
            )
        return array

    def check_all_taken(self) -> None:
        """Raises a UserError that names the keys that are left, if there are any."""
        keys = list(self._arrays)
        if keys:
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            raise UserError(
                f"The weights have keys that {self._model} lacks: "
                f"{', '.join(keys[:5])}{more}."
            )

    def _find(self, key: str) -> Any:
        if key not in self._arrays:
            raise UserError(
                f"The weights of {self._model} lack the key {key}: are they those of "
                "another model or library?"
            )
        return self._arrays[key]


@dataclasses.dataclass(frozen=True)
class Model:
    """One model of a library."""

    spec: ClassifierSpec | DetectorSpec | SegmenterSpec
    names: Callable[[Any], Names]  # of the modules, from the spec
    preprocessing: Preprocessing
    conv_biases: bool = False  # whether a bias comes between convolution and batch norm
    channel_order: Literal["RGB", "BGR"] = "RGB"  # of the images it takes
    # Reads the mean and deviation of a layer of it that normalises the images.
    read_normalization: Callable[[Weights], Normalization] | None = None
    class_names: tuple[str, ...] = ()  # of weights with that many; else ImageNet's


@dataclasses.dataclass(frozen=True)
class Library:
    """How a library stores weights, and its models by its names for them."""

    models: dict[str, Model]
    separator: str  # between module and variable in a key
    variables: dict[str, str]  # its names for the variables of our layers
    # Its state without what is no weight.
    clean: Callable[[Mapping[str, Any]], dict[str, Any]]
    # A kernel as height, width, inputs, outputs, or as inputs, outputs. The second
    # argument is whether it is of a depthwise convolution.
    kernel_layout: Callable[[np.ndarray, bool], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Place:
    """A block's place in its network; everything is counted from 0."""

    layers: tuple[str, ...]  # the block's, in the order of execution: "se/reduce"
    number: int
    stage: int  # a new one begins wherever the stride is 2 or the channels change
    index: int  # within the stage

    @property
    def parts(self) -> list[str]:
        """As `layers`, but squeeze-and-excitation is one part, "se"."""
        return list(dict.fromkeys(layer.split("/")[0] for layer in self.layers))


def places(spec: HasBackbone) -> list[Place]:
    """Where each block of the network stands.

    >>> from mobilenets import get_spec
    >>> places(get_spec("mobilenet_v2"))[2]
    Place(layers=('expand', 'depthwise', 'project'), number=2, stage=1, index=1)
    """
    paths = [layer.name for layer in complexity.layers(spec)]
    result, stage, index, channels = [], -1, 0, 0
    for number, block in enumerate(spec.backbone.blocks):
        begins = block.stride == 2 or block.out_channels != channels
        stage, index = (stage + 1, 0) if begins else (stage, index + 1)
        channels, prefix = block.out_channels, f"block{number}/"
        layers = (p.removeprefix(prefix) for p in paths if p.startswith(prefix))
        result.append(Place(tuple(layers), number, stage, index))
    return result


def block_names(spec: HasBackbone, names_at: Callable[[Place], Names]) -> Names:
    """The modules of all blocks, from a function that knows those of one.

    Args:
      spec: the network.
      names_at: the modules of a block by its place; may name more layers than it has.
    """
    return {
        f"block{place.number}/{layer}": names_at(place)[layer]
        for place in places(spec)
        for layer in place.layers
    }


def width(multiplier: float) -> dict[str, float]:
    """The argument of a spec that is as wide."""
    return {"width_multiplier": multiplier}


@dataclasses.dataclass(frozen=True)
class Row:
    """A released model, as the table of its library has it."""

    name: str  # the library's
    architecture: str  # ours in `get_spec`, …
    arguments: dict[str, Any]  # … and what else that is given
    resolution: int  # pixels
    short_side: int  # to which an image is resized before the crop, in pixels
    interpolation: Interpolation
    normalization: Normalization  # what it expects


def models_of(
    rows: Iterable[Row],
    names: Callable[[ClassifierSpec], Names],
    batch_norm: dict[str, float],
    padding: Padding,
    **fields: Any,
) -> dict[str, Model]:
    """The models of a table by the library's names.

    Args:
      rows: of the table.
      names: the modules of each.
      batch_norm: the spec's "bn_momentum" and "bn_epsilon".
      padding: the spec's.
      **fields: further fields of `Model`.
    """
    result = {}
    for row in rows:
        spec = get_spec(
            row.architecture,
            resolution=row.resolution,
            padding=padding,
            **batch_norm,
            **row.arguments,
        )
        preprocessing = Preprocessing(
            crop_fraction=row.resolution / row.short_side,
            interpolation=row.interpolation,
            mean=row.normalization["mean"],
            std=row.normalization["std"],
        )
        result[row.name] = Model(spec, names, preprocessing, **fields)
    return result


def tensorflow_kernel_layout(kernel: np.ndarray, is_depthwise: bool) -> np.ndarray:
    """TensorFlow's and Keras' layout: ours, but a depthwise kernel is [k, k, C, 1]."""
    return kernel.swapaxes(2, 3) if is_depthwise and kernel.ndim == 4 else kernel
