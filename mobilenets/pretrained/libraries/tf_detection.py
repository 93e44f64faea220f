"""The detectors of TensorFlow's Object Detection API, by the names of its model zoo.

The variables of the backbone have slim's names below "FeatureExtractor". Any number of
classes is read, so that fine-tuned models are too.
"""

import dataclasses

from mobilenets.config.schema import Preprocessing
from mobilenets.networks.architectures.ssd import get_detector
from mobilenets.networks.detector import DetectorSpec
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
    for i in range(len(spec.anchors)):
        for kind, module in (("box", "BoxEncoding"), ("class", "Class")):
            there = f"BoxPredictor_{i}/{module}Predictor"
            depthwise = tf_slim.conv_bn(f"{there}_depthwise")
            names[f"{kind}_predictor{i}/depthwise"] = depthwise
            names[f"{kind}_predictor{i}/output"] = (there,)
    return names


LIBRARY = dataclasses.replace(
    tf_slim.LIBRARY,
    models={
        "ssdlite_mobilenet_v2_coco": Model(
            get_detector("ssdlite_mobilenet_v2", resolution=300),
            _mobilenet_v2,
            # The default mean and deviation make -1 to 1 of the pixels.
            Preprocessing(resize="squash", crop_fraction=1.0),
            class_names=coco.CLASS_NAMES,
        )
    },
)
