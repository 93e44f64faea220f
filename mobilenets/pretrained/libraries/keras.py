"""The models of `keras.applications`, as of Keras 3.15: specs, names, preprocessing.

Where Keras differs from the papers' networks here:

- Its ResNets have a bias in each convolution, which becomes a part of the batch norm's
  running mean, and take images in the order blue, green, red: the stem's kernel is
  turned around, so that ours take red, green, blue.
- Its EfficientNets normalise their images themselves, with weights of their own. They
  become the preprocessing.
- Its MobileNet (V1) pads the depthwise convolutions of stride 2 only at the bottom and
  right, also where their input's size is odd. There the logits differ; at a multiple of
  32 pixels no size is odd. So do MobileNetV2, V3 and EfficientNet if they are built for
  an input of no fixed size.

Keras does not say how images are resized and cropped. What is here is from the code
that trained the weights: EfficientNet's authors leave out a border of 16 pixels; of
the others a central 87.5 % is taken, as in slim.
"""

import collections
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mobilenets.errors import UserError
from mobilenets.networks import complexity
from mobilenets.networks.spec import ClassifierSpec
from mobilenets.pretrained.library import (
    IMAGENET,
    MINUS_ONE_TO_ONE,
    Library,
    Model,
    Names,
    Normalization,
    Place,
    Row,
    Weights,
    block_names,
    models_of,
    tensorflow_kernel_layout,
    width,
)


def _mobilenet(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        n = place.number + 1
        return {
            "depthwise": (f"conv_dw_{n}", f"conv_dw_{n}_bn"),
            "project": (f"conv_pw_{n}", f"conv_pw_{n}_bn"),
        }

    return {
        "stem": ("conv1", "conv1_bn"),
        "logits": ("conv_preds",),
        **block_names(spec, names_at),
    }


def _mobilenet_v2(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        there = f"block_{place.number}_" if place.number else "expanded_conv_"
        return {
            layer: (f"{there}{layer}", f"{there}{layer}_BN") for layer in place.layers
        }

    return {
        "stem": ("Conv1", "bn_Conv1"),
        "head_conv": ("Conv_1", "Conv_1_bn"),
        "logits": ("predictions",),
        **block_names(spec, names_at),
    }


def _mobilenet_v3(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        there = "expanded_conv_" + (f"{place.number}_" if place.number else "")
        return {
            **{
                layer: (f"{there}{layer}", f"{there}{layer}_bn")
                for layer in place.parts
            },
            "se/reduce": (f"{there}squeeze_excite_conv",),
            "se/expand": (f"{there}squeeze_excite_conv_1",),
        }

    return {
        "stem": ("conv", "conv_bn"),
        "head_conv": ("conv_1", "conv_1_bn"),
        "head_dense": ("conv_2",),
        "logits": ("logits",),
        **block_names(spec, names_at),
    }


def _efficientnet(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        there = f"block{place.stage + 1}{chr(ord('a') + place.index)}_"
        return {
            "expand": (f"{there}expand_conv", f"{there}expand_bn"),
            "depthwise": (f"{there}dwconv", f"{there}bn"),
            "se/reduce": (f"{there}se_reduce",),
            "se/expand": (f"{there}se_expand",),
            "project": (f"{there}project_conv", f"{there}project_bn"),
        }

    return {
        "stem": ("stem_conv", "stem_bn"),
        "head_conv": ("top_conv", "top_bn"),
        "logits": ("predictions",),
        **block_names(spec, names_at),
    }


def _resnet(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        there = f"conv{place.stage + 2}_block{place.index + 1}_"
        numbers = {"shortcut": 0, "reduce": 1, "spatial": 2, "restore": 3}
        return {
            layer: (f"{there}{n}_conv", f"{there}{n}_bn")
            for layer, n in numbers.items()
        }

    return {
        "stem": ("conv1_conv", "conv1_bn"),
        "logits": ("predictions",),
        **block_names(spec, names_at),
    }


def layer_names(model: Model) -> dict[str, list[str]]:
    """The names of a model's layers by their class, in the order of Keras' `layers`.

    With them `formats.rename_keras_variables` names what a ".weights.h5" only numbers.
    """
    names = model.names(model.spec)
    layers = complexity.layers(model.spec)
    for i, layer in enumerate(layers):  # Keras has a shortcut before a block's last
        if layer.name.endswith("/shortcut"):
            last = max(j for j in range(i) if layers[j].operator == "conv")
            layers.insert(last, layers.pop(i))
    result = collections.defaultdict(list)
    if model.read_normalization:
        result["normalization"].append("normalization")
    for layer in layers:
        module, *batch_norm = names[layer.name]
        kind = "depthwise_conv2d" if layer.operator == "depthwise" else "conv2d"
        result["dense" if module == "predictions" else kind].append(module)
        result["batch_normalization"] += batch_norm
    return dict(result)


def head_names(model: Model) -> list[str]:
    """The names of the layers that a model without its top lacks."""
    names = model.names(model.spec)
    return [names[layer][0] for layer in ("head_dense", "logits") if layer in names]


def _clean(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state without the count of the images that the normalisation has seen.

    The layer has no name of its own: Keras numbers those it makes, from "normalization"
    and "normalization_1" on.

    Raises:
      UserError: there are two such layers.
    """
    named = {re.sub(r"^normalization_\d+/", "normalization/", k): k for k in state}
    if len(named) < len(state):
        raise UserError(
            "The weights have two layers that normalise images, and nothing says which "
            "is the network's: save the network alone."
        )
    return {
        name: state[k] for name, k in named.items() if name != "normalization/count"
    }


def _read_normalization(weights: Weights) -> Normalization:
    """The mean and deviation by which an EfficientNet normalises its images.

    Its layers compute (x / 255 - mean) / sqrt(variance). The ImageNet weights have the
    deviation in the variance's place, and the network that Keras builds for them
    divides a second time by its root.
    """
    mean = 255.0 * weights.take("normalization/mean", (3,))
    variance = weights.take("normalization/variance", (3,))
    if np.allclose(255.0 * variance, IMAGENET["std"], rtol=1e-3):
        variance = variance**2
    return {"mean": _triple(mean), "std": _triple(255.0 * np.sqrt(variance))}


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return red, green, blue


def _mobilenet_rows(name: str, ours: str, alphas: tuple[float, ...]) -> list[Row]:
    """A MobileNet of several widths: Keras' `name(alpha=...)`, 1 being the default."""
    return [
        Row(
            name if alpha == 1 else f"{name}(alpha={alpha})",
            ours,
            width(alpha),
            224,
            256,
            "bilinear",
            MINUS_ONE_TO_ONE,
        )
        for alpha in alphas
    ]


_BATCH_NORM = {"bn_momentum": 0.99, "bn_epsilon": 1e-3}
_MOBILENET_BATCH_NORM = {"bn_momentum": 0.999, "bn_epsilon": 1e-3}
_RESNET_BATCH_NORM = {"bn_momentum": 0.99, "bn_epsilon": 1.001e-5}

# Blue, green and red of Caffe's models, without a deviation, as red, green, blue.
_CAFFE: Normalization = {
    "mean": (123.68, 116.779, 103.939),
    "std": (1.0, 1.0, 1.0),
}

# What the columns are: see `Row`. The widths are those that have ImageNet weights.
# fmt: off
_V1 = _mobilenet_rows("MobileNet", "mobilenet_v1", (0.25, 0.5, 0.75, 1.0))
_V2 = _mobilenet_rows("MobileNetV2", "mobilenet_v2", (0.35, 0.5, 0.75, 1.0, 1.3, 1.4))
_V3: tuple[Row, ...] = (
    *_mobilenet_rows("MobileNetV3Large", "mobilenet_v3_large", (0.75, 1.0)),
    *_mobilenet_rows("MobileNetV3Small", "mobilenet_v3_small", (0.75, 1.0)),
    Row("MobileNetV3Large(minimalistic=True)", "mobilenet_v3_large_minimalistic", {},
        224, 256, "bilinear", MINUS_ONE_TO_ONE),
    Row("MobileNetV3Small(minimalistic=True)", "mobilenet_v3_small_minimalistic", {},
        224, 256, "bilinear", MINUS_ONE_TO_ONE),
)
_EFFICIENTNET: tuple[Row, ...] = (
    Row("EfficientNetB0", "efficientnet_b0", {}, 224, 256, "bicubic", IMAGENET),
    Row("EfficientNetB1", "efficientnet_b1", {}, 240, 272, "bicubic", IMAGENET),
    Row("EfficientNetB2", "efficientnet_b2", {}, 260, 292, "bicubic", IMAGENET),
    Row("EfficientNetB3", "efficientnet_b3", {}, 300, 332, "bicubic", IMAGENET),
    Row("EfficientNetB4", "efficientnet_b4", {}, 380, 412, "bicubic", IMAGENET),
    Row("EfficientNetB5", "efficientnet_b5", {}, 456, 488, "bicubic", IMAGENET),
    Row("EfficientNetB6", "efficientnet_b6", {}, 528, 560, "bicubic", IMAGENET),
    Row("EfficientNetB7", "efficientnet_b7", {}, 600, 632, "bicubic", IMAGENET),
)
_RESNET: tuple[Row, ...] = (
    Row("ResNet50", "resnet50", {"version": "v1"}, 224, 256, "bilinear", _CAFFE),
    Row("ResNet101", "resnet101", {"version": "v1"}, 224, 256, "bilinear", _CAFFE),
    Row("ResNet152", "resnet152", {"version": "v1"}, 224, 256, "bilinear", _CAFFE),
)
# fmt: on

LIBRARY = Library(
    models=models_of(_V1, _mobilenet, _BATCH_NORM, "same")
    | models_of(_V2, _mobilenet_v2, _MOBILENET_BATCH_NORM, "same")
    | models_of(_V3, _mobilenet_v3, _MOBILENET_BATCH_NORM, "same")
    | models_of(
        _EFFICIENTNET,
        _efficientnet,
        _BATCH_NORM,
        "same",
        read_normalization=_read_normalization,
    )
    | models_of(
        _RESNET,
        _resnet,
        _RESNET_BATCH_NORM,
        "symmetric",
        conv_biases=True,
        channel_order="BGR",
    ),
    separator="/",
    variables={
        "conv/kernel": "kernel",
        "conv/bias": "bias",
        "bn/scale": "gamma",
        "bn/bias": "beta",
        "bn/mean": "moving_mean",
        "bn/var": "moving_variance",
        "kernel": "kernel",
        "bias": "bias",
    },
    clean=_clean,
    kernel_layout=tensorflow_kernel_layout,
)
