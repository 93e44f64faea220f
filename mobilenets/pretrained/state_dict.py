"""Weights in the layout and under the names of timm and torchvision."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from mobilenets.architectures import get_spec
from mobilenets.architectures.mobilenet_v2 import TABLE_2
from mobilenets.configuration import Preprocessing
from mobilenets.convnet import ConvNet
from mobilenets.errors import UserError, unknown
from mobilenets.spec import NetSpec

# The mean and deviation that both libraries' ImageNet weights expect, times 255.
_IMAGENET = Preprocessing(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))

# A layer of ours and the modules that hold it there: the convolution and its batch
# norm, or only the dense layer of the logits.
LayerNames = dict[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class _Model:
    """One model of a library."""

    spec: NetSpec
    layer_names: Callable[[NetSpec], LayerNames]
    preprocessing: Preprocessing


def from_state_dict(
    state: Mapping[str, Any], library: str, model: str
) -> tuple[NetSpec, dict[str, Any], Preprocessing]:
    """Our network with the weights of a library's `state_dict`.

    Args:
      state: the arrays by the library's keys, in its layout.
      library: "timm" or "torchvision".
      model: the library's name of the model, such as "mobilenetv2_100".

    Returns:
      spec: of the network; `num_classes` is the size of the variables' logits.
      variables: {"params": ..., "batch_stats": ...} for `ConvNet.apply`.
      preprocessing: what the weights expect of an image; for torchvision that of its
        first weights, IMAGENET1K_V1 (V2 are evaluated with a crop fraction of 224/232).

    Raises:
      UserError: library or model are unknown; a key is missing, has another shape,
        or is none of the model's.
    """
    if library not in _LIBRARIES:
        raise unknown("library", library, _LIBRARIES)
    if model not in _LIBRARIES[library]:
        raise unknown(f"model of {library}", model, _LIBRARIES[library])
    entry = _LIBRARIES[library][model]
    names = entry.layer_names(entry.spec)
    left = {k: v for k, v in state.items() if not k.endswith(".num_batches_tracked")}
    classifier_bias = f"{names['logits'][0]}.bias"
    if classifier_bias not in left:
        raise UserError(f"The weights of {model} lack the key {classifier_bias}.")
    network = ConvNet(entry.spec, num_classes=len(left[classifier_bias]))
    shapes = jax.eval_shape(
        network.init, jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32)
    )

    def take(path: tuple, wanted: jax.ShapeDtypeStruct) -> np.ndarray:
        key, value = _find(left, names, [part.key for part in path], model)
        if value.shape != wanted.shape:
            raise UserError(
                f"The key {key} of the weights has the shape {value.shape} in our "
                f"layout, but {model} needs {wanted.shape}."
            )
        return value

    variables = jax.tree.map_with_path(take, shapes)
    if left:
        raise UserError(f"The weights have keys that {model} lacks: {', '.join(left)}.")
    return entry.spec, variables, entry.preprocessing


_SUFFIXES = {
    ("conv", "kernel"): "weight",
    ("bn", "scale"): "weight",
    ("bn", "bias"): "bias",
    ("bn", "mean"): "running_mean",
    ("bn", "var"): "running_var",
    ("logits", "kernel"): "weight",
    ("logits", "bias"): "bias",
}


def _find(
    left: dict[str, Any], names: LayerNames, path: list[str], model: str
) -> tuple[str, np.ndarray]:
    """Takes the array of one of our variables out of `left`, in our layout."""
    # ["params", "block3", "expand", "conv", "kernel"] -> "block3/expand", "conv"
    part, variable = path[-2:]
    layer = "logits" if part == "logits" else "/".join(path[1:-2])
    module = names[layer][1 if part == "bn" else 0]
    key = f"{module}.{_SUFFIXES[part, variable]}"
    if key not in left:
        raise UserError(f"The weights of {model} lack the key {key}.")
    value = np.asarray(left.pop(key), np.float32)
    if variable == "kernel":  # OIHW -> HWIO, or OI -> IO
        value = value.transpose((2, 3, 1, 0) if value.ndim == 4 else (1, 0))
    return key, value


def _timm_mobilenet_v2(spec: NetSpec) -> LayerNames:
    names: LayerNames = {
        "stem": ("conv_stem", "bn1"),
        "head_conv": ("conv_head", "bn2"),
        "logits": ("classifier",),
    }
    places = [(stage, i) for stage, row in enumerate(TABLE_2) for i in range(row[2])]
    for number, (block, (stage, i)) in enumerate(zip(spec.blocks, places, strict=True)):
        if block.has_expansion:
            layers = {
                "expand": "conv_pw",
                "depthwise": "conv_dw",
                "project": "conv_pwl",
            }
        else:
            layers = {"depthwise": "conv_dw", "project": "conv_pw"}
        there = f"blocks.{stage}.{i}"
        for position, (ours, theirs) in enumerate(layers.items(), start=1):
            names[f"block{number}/{ours}"] = (
                f"{there}.{theirs}",
                f"{there}.bn{position}",
            )
    return names


def _torchvision_mobilenet_v2(spec: NetSpec) -> LayerNames:
    last = len(spec.blocks) + 1
    names: LayerNames = {
        "stem": ("features.0.0", "features.0.1"),
        "head_conv": (f"features.{last}.0", f"features.{last}.1"),
        "logits": ("classifier.1",),
    }
    for i, block in enumerate(spec.blocks):
        there = f"features.{i + 1}.conv"
        n = 0
        if block.has_expansion:
            names[f"block{i}/expand"] = (f"{there}.0.0", f"{there}.0.1")
            n = 1
        names[f"block{i}/depthwise"] = (f"{there}.{n}.0", f"{there}.{n}.1")
        names[f"block{i}/project"] = (f"{there}.{n + 1}", f"{there}.{n + 2}")
    return names


def _mobilenet_v2(width: float) -> NetSpec:
    """As both libraries build it; PyTorch's momentum of 0.1 is our 0.9."""
    return get_spec(
        "mobilenet_v2",
        width_multiplier=width,
        padding="symmetric",
        bn_momentum=0.9,
        bn_epsilon=1e-5,
    )


_LIBRARIES = {
    "timm": {
        f"mobilenetv2_{round(100 * width):03}": _Model(
            _mobilenet_v2(width),
            _timm_mobilenet_v2,
            _IMAGENET.model_copy(update={"interpolation": "bicubic"}),
        )
        for width in (0.35, 0.5, 0.75, 1.0, 1.4)
    },
    "torchvision": {
        "mobilenet_v2": _Model(
            _mobilenet_v2(1.0),
            _torchvision_mobilenet_v2,
            _IMAGENET,
        )
    },
}
