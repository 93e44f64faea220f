"""The detectors of TensorFlow's Object Detection API, by the names of its model zoo.

The variables of the backbone have slim's names below "FeatureExtractor". Any number of
classes is read, so that fine-tuned models are too. In TFLite files batch norm is folded
into the convolutions; it becomes one that changes nothing but adds the bias.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mobilenets.config.schema import Preprocessing
from mobilenets.networks.architectures import get_spec
from mobilenets.networks.architectures.ssd import get_detector, ssd
from mobilenets.networks.detector import DetectorSpec, PredictorSpec
from mobilenets.pretrained.libraries import coco, tf_slim
from mobilenets.pretrained.library import Model, Names

_SCOPE = "FeatureExtractor/MobilenetV2"
_FIRST_EXTRA = 2  # in the names of their modules


def _mobilenet_v2(spec: DetectorSpec) -> Names:
    names = tf_slim.later_mobilenet(_SCOPE)(spec)
    for i, extra in enumerate(spec.extras):
        # By its width, as "layer_19_1_Conv2d_2_1x1_256".
        place = f"Conv2d_{i + _FIRST_EXTRA}"
        reduce = f"{_SCOPE}/layer_19_1_{place}_1x1_{extra.inner_channels}"
        project = f"{_SCOPE}/layer_19_2_{place}_3x3_s2_{extra.out_channels}"
        names[f"extra{i}/reduce"] = tf_slim.conv_bn(reduce)
        names[f"extra{i}/depthwise"] = tf_slim.conv_bn(f"{project}_depthwise")
        names[f"extra{i}/project"] = tf_slim.conv_bn(project)
        names[f"extra{i}/spatial"] = tf_slim.conv_bn(project)
    for i in range(len(spec.anchors)):
        for kind, module in (("box", "BoxEncoding"), ("class", "Class")):
            there = f"BoxPredictor_{i}/{module}Predictor"
            depthwise = tf_slim.conv_bn(f"{there}_depthwise")
            names[f"{kind}_predictor{i}/depthwise"] = depthwise
            names[f"{kind}_predictor{i}/output"] = (there,)
    return names


_BN_EPSILON = 1e-3


def _clean(state: Mapping[str, Any]) -> dict[str, Any]:
    """As slim's, and with batch norm where it was folded."""
    result = tf_slim.LIBRARY.clean(state)
    for key in [*result]:
        scope, _, variable = key.rpartition("/")
        if variable != "biases" or not scope.startswith(_SCOPE):
            continue
        if f"{scope}/BatchNorm/moving_variance" in result:
            continue  # it is not folded
        bias = np.asarray(result.pop(key))
        result[f"{scope}/BatchNorm/beta"] = bias
        result[f"{scope}/BatchNorm/gamma"] = np.ones_like(bias)
        result[f"{scope}/BatchNorm/moving_mean"] = np.zeros_like(bias)
        # So that it divides by 1.
        result[f"{scope}/BatchNorm/moving_variance"] = np.full_like(
            bias, 1 - _BN_EPSILON
        )
    return result


# The default mean and deviation make -1 to 1 of the pixels.
_PREPROCESSING = Preprocessing(resize="squash", crop_fraction=1.0)

_LITE = Model(
    get_detector("ssdlite_mobilenet_v2", resolution=300),
    _mobilenet_v2,
    _PREPROCESSING,
    class_names=coco.CLASS_NAMES,
)
# Its extra layers are not separable and its predictors 1x1, unlike in the COCO config.
_FULL = Model(
    dataclasses.replace(
        ssd(get_spec("mobilenet_v2", resolution=300)),
        predictor=PredictorSpec(kernel_size=1, separable=False),
    ),
    _mobilenet_v2,
    _PREPROCESSING,
)

LIBRARY = dataclasses.replace(
    tf_slim.LIBRARY,
    models={
        "ssdlite_mobilenet_v2_coco": _LITE,
        "ssd_mobilenet_v2_oid_v4": _FULL,
    },
    clean=_clean,
)
