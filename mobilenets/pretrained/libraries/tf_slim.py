"""The MobileNets of TensorFlow's slim: specs, variables' names, preprocessing.

Their logits have a class "background" in front of ImageNet's thousand, which is left
out. The names of the models are those of the released checkpoints.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mobilenets.networks.spec import ClassifierSpec, HasBackbone
from mobilenets.pretrained.library import (
    MINUS_ONE_TO_ONE,
    Library,
    Names,
    Place,
    Row,
    block_names,
    models_of,
    tensorflow_kernel_layout,
    width,
)

_LOGITS = "Logits/Conv2d_1c_1x1"


def conv_bn(there: str) -> tuple[str, str]:
    """A convolution and its batch norm."""
    return there, f"{there}/BatchNorm"


def _mobilenet_v1(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        there = f"MobilenetV1/Conv2d_{place.number + 1}"
        return {
            "depthwise": conv_bn(f"{there}_depthwise"),
            "project": conv_bn(f"{there}_pointwise"),
        }

    return {
        "stem": conv_bn("MobilenetV1/Conv2d_0"),
        "logits": (f"MobilenetV1/{_LOGITS}",),
        **block_names(spec, names_at),
    }


def later_mobilenet(scope: str) -> Callable[[HasBackbone], Names]:
    """The names of MobileNetV2 and V3, which differ in the scope alone."""

    def names(spec: HasBackbone) -> Names:
        return {
            "stem": conv_bn(f"{scope}/Conv"),
            "head_conv": conv_bn(f"{scope}/Conv_1"),
            "head_dense": (f"{scope}/Conv_2",),
            "logits": (f"{scope}/{_LOGITS}",),
            **block_names(spec, names_at),
        }

    def names_at(place: Place) -> Names:
        number = f"_{place.number}" if place.number else ""
        there = f"{scope}/expanded_conv{number}"
        return {
            **{part: conv_bn(f"{there}/{part}") for part in place.parts},
            "se/reduce": (f"{there}/squeeze_excite/Conv",),
            "se/expand": (f"{there}/squeeze_excite/Conv_1",),
        }

    return names


def _clean(state: Mapping[str, Any]) -> dict[str, Any]:
    """With one name for all kernels, and without the background."""
    result = {}
    for key, value in state.items():
        if f"/{_LOGITS}/" in key and np.shape(value)[-1:] == (1001,):
            value = np.asarray(value)[..., 1:]
        result[key.replace("/depthwise_weights", "/weights")] = value
    return result


def _rows(
    name: str, ours: str, widths: tuple[float, ...], sizes: tuple[int, ...]
) -> list[Row]:
    """The models of a grid of widths and resolutions; crops of 87.5 % as in slim."""
    return [
        Row(
            name.format(w=w, r=r),
            ours,
            width(w),
            r,
            round(r / 0.875),
            "bilinear",
            MINUS_ONE_TO_ONE,
        )
        for w in widths
        for r in sizes
    ]


_SIZES = (224, 192, 160, 128)
_V1: list[Row] = _rows(
    "mobilenet_v1_{w}_{r}", "mobilenet_v1", (1.0, 0.75, 0.5, 0.25), _SIZES
)
_V2: list[Row] = [
    *_rows("mobilenet_v2_{w}_{r}", "mobilenet_v2", (1.4, 1.3), (224,)),
    *_rows(
        "mobilenet_v2_{w}_{r}", "mobilenet_v2", (1.0, 0.75, 0.5, 0.35), (*_SIZES, 96)
    ),
]
_V3: list[Row] = [
    *_rows("v3-large_{r}_{w}_float", "mobilenet_v3_large", (1.0, 0.75), (224,)),
    *_rows("v3-small_{r}_{w}_float", "mobilenet_v3_small", (1.0, 0.75), (224,)),
    *_rows(
        "v3-large-minimalistic_{r}_{w}_float",
        "mobilenet_v3_large_minimalistic",
        (1.0,),
        (224,),
    ),
    *_rows(
        "v3-small-minimalistic_{r}_{w}_float",
        "mobilenet_v3_small_minimalistic",
        (1.0,),
        (224,),
    ),
]

LIBRARY = Library(
    models=models_of(
        _V1, _mobilenet_v1, {"bn_momentum": 0.9997, "bn_epsilon": 1e-3}, "same"
    )
    | models_of(
        _V2,
        later_mobilenet("MobilenetV2"),
        {"bn_momentum": 0.997, "bn_epsilon": 1e-3},
        "same",
    )
    | models_of(
        _V3,
        later_mobilenet("MobilenetV3"),
        {"bn_momentum": 0.997, "bn_epsilon": 1e-3},
        "same",
    ),
    separator="/",
    variables={
        "conv/kernel": "weights",
        "bn/scale": "gamma",
        "bn/bias": "beta",
        "bn/mean": "moving_mean",
        "bn/var": "moving_variance",
        "kernel": "weights",
        "bias": "biases",
    },
    clean=_clean,
    kernel_layout=tensorflow_kernel_layout,
)
