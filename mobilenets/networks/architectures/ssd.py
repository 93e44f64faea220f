"""SSD and SSDLite on our backbones, as TensorFlow's and torchvision's models have them.

SSD: Liu et al. 2016, arXiv:1512.02325. SSDLite: MobileNetV2, arXiv:1801.04381, Sec.
6.2. What the papers leave open is that of TensorFlow's Object Detection API, from which
their results come: anchors, box coder, batch norm, post-processing.
"""

import dataclasses
import inspect
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from mobilenets.errors import unknown
from mobilenets.networks.architectures import get_spec, replace
from mobilenets.networks.architectures.mobilenet_v3 import halve_last_stage
from mobilenets.networks.detector import (
    Anchor,
    BoxCoderSpec,
    DetectorSpec,
    ExtraLayerSpec,
    PostprocessingSpec,
    PredictorSpec,
    features_for_ssd,
)
from mobilenets.networks.spec import (
    BackboneSpec,
    ClassifierSpec,
    backbone_of,
    make_divisible,
    with_backbone,
)

EXTRA_CHANNELS = (512, 256, 256, 128)
LAST_CHANNELS = 1280  # of MobileNetV2's and MnasNet's last convolution
LEAST_CHANNELS = 16  # of an extra layer, however small its multiplier

# Of the square anchor on each feature map, and the next that there would be.
SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
TENSORFLOW_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)  # so written in its configs
LOWEST_ANCHORS = ((0.1, 1.0), (0.2, 2.0), (0.2, 0.5))  # scales and aspect ratios

TENSORFLOW_CODER = BoxCoderSpec("yxhw")
TORCHVISION_CODER = BoxCoderSpec("xywh", most_log_ratio=math.log(1000 / 16))

TENSORFLOW_POSTPROCESSING = PostprocessingSpec(
    "sigmoid",
    score_threshold=1e-8,
    iou_threshold=0.6,
    clip_first=False,
    candidates_per_class=None,
    detections_per_class=100,
    detections=100,
)
TORCHVISION_POSTPROCESSING = PostprocessingSpec(
    "softmax",
    score_threshold=1e-3,
    iou_threshold=0.55,
    clip_first=True,
    candidates_per_class=300,
    detections_per_class=300,
    detections=300,
)

LITE = PredictorSpec(kernel_size=3, separable=True)
# With focal loss, in the configs of MobileNetV3.
LITE_V3 = PredictorSpec(3, True, initialization="normal", class_bias=-4.6)
V3_BN_MOMENTUM = 0.97


def anchor(scale: float, aspect_ratio: float) -> Anchor:
    """The height and width of an anchor: SSD, Sec. 2.2, "Choosing scales".

    >>> anchor(0.2, 4.0)
    (0.1, 0.4)
    """
    root = math.sqrt(aspect_ratio)
    return scale / root, scale * root


def tensorflow_anchors() -> tuple[tuple[Anchor, ...], ...]:
    """Those of TensorFlow's SSD: three on the finest map, six on the others.

    The last of a pixel is the square between this map's scale and the next one's. Some
    older models have it second.
    """
    result = [tuple(anchor(*values) for values in LOWEST_ANCHORS)]
    for scale, next_scale in itertools.pairwise(SCALES[1:]):
        ratios = tuple(anchor(scale, ratio) for ratio in TENSORFLOW_RATIOS)
        result.append((*ratios, anchor(math.sqrt(scale * next_scale), 1.0)))
    return tuple(result)


def torchvision_anchors() -> tuple[tuple[Anchor, ...], ...]:
    """Those of torchvision's SSDLite: six on each map, no side longer than the image.

    The square between the scales is second.
    """
    result = []
    for scale, next_scale in itertools.pairwise(SCALES):
        between = math.sqrt(scale * next_scale)
        shapes = [anchor(scale, 1.0), anchor(between, 1.0)]
        shapes += [anchor(scale, ratio) for ratio in (2.0, 1 / 2, 3.0, 1 / 3)]
        result.append(tuple((min(h, 1.0), min(w, 1.0)) for h, w in shapes))
    return tuple(result)


def extra_layers(
    separable: bool, width_multiplier: float = 1.0
) -> tuple[ExtraLayerSpec, ...]:
    """The four of TensorFlow's SSD.

    Args:
      separable: see `ExtraLayerSpec`.
      width_multiplier: scales them; a width is cut to an integer of at least 16.
    """

    def scaled(channels: float) -> int:
        return max(LEAST_CHANNELS, int(channels * width_multiplier))

    return tuple(
        ExtraLayerSpec(scaled(channels / 2), scaled(channels), separable)
        for channels in EXTRA_CHANNELS
    )


def ssdlite(
    network: BackboneSpec | ClassifierSpec, width_multiplier: float = 1.0
) -> DetectorSpec:
    """SSDLite on any backbone, with the values of TensorFlow's models.

    Args:
      network: whose backbone is taken.
      width_multiplier: of the extra layers.

    >>> from mobilenets import get_spec
    >>> detector = ssdlite(get_spec("mobilenet_v2", resolution=320))
    >>> detector.features, detector.num_anchors
    (('block13/expand', 'head_conv'), 2034)
    """
    backbone = backbone_of(network)
    return DetectorSpec(
        name=f"ssdlite_{backbone.name}",
        backbone=backbone,
        features=features_for_ssd(backbone),
        extras=extra_layers(True, width_multiplier),
        predictor=LITE,
        anchors=tensorflow_anchors(),
        box_coder=TENSORFLOW_CODER,
        postprocessing=TENSORFLOW_POSTPROCESSING,
        act="relu6",
        bn_momentum=0.9997,
        bn_epsilon=1e-3,
    )


def ssd(network: BackboneSpec | ClassifierSpec) -> DetectorSpec:
    """SSD on any backbone: `ssdlite` with full convolutions and 3x3 predictors."""
    spec = ssdlite(network)
    return dataclasses.replace(
        spec,
        name=spec.name.replace("ssdlite_", "ssd_", 1),
        extras=extra_layers(separable=False),
        predictor=PredictorSpec(kernel_size=3, separable=False),
    )


def _ssd_v1() -> DetectorSpec:
    """With 1x1 predictors, as in TensorFlow's config and MobileNetV1, Table 13."""
    predictor = PredictorSpec(kernel_size=1, separable=False)
    spec = ssd(get_spec("mobilenet_v1", resolution=300))
    return dataclasses.replace(spec, predictor=predictor)


def _ssd_v2() -> DetectorSpec:
    """As in TensorFlow's config: 3x3 predictors, but separable extra layers."""
    spec = ssd(get_spec("mobilenet_v2", resolution=300))
    return dataclasses.replace(spec, extras=extra_layers(separable=True))


def _moga_a() -> DetectorSpec:
    return ssdlite(get_spec("moga_a", resolution=320))


def _wide(architecture: str, width_multiplier: float = 1.0) -> DetectorSpec:
    """Backbone and extra layers scaled alike."""
    spec = get_spec(architecture, width_multiplier=width_multiplier, resolution=320)
    return ssdlite(spec, width_multiplier)


def _scaled(architecture: str, width_multiplier: float = 1.0) -> DetectorSpec:
    """Unlike the classifier's, its last convolution is scaled below 1, too."""
    spec = get_spec(architecture, width_multiplier=width_multiplier, resolution=320)
    last = make_divisible(LAST_CHANNELS * width_multiplier)
    return ssdlite(with_backbone(spec, head_conv_channels=last), width_multiplier)


def _v3(architecture: str, halved: bool, width_multiplier: float = 1.0) -> DetectorSpec:
    """Halved, the dagger of MobileNetV3's Table 6."""
    spec = get_spec(
        architecture,
        width_multiplier=width_multiplier,
        resolution=320,
        bn_momentum=V3_BN_MOMENTUM,
    )
    detector = ssdlite(halve_last_stage(spec) if halved else spec, width_multiplier)
    return dataclasses.replace(
        detector,
        name=detector.name + ("_halved" if halved else ""),
        predictor=LITE_V3,
        bn_momentum=V3_BN_MOMENTUM,
    )


def _torchvision() -> DetectorSpec:
    """torchvision's, which is not TensorFlow's in anchors, coder, scores and padding.

    The momentum of its batch norm, 0.03, is our 0.97.
    """
    return dataclasses.replace(
        with_backbone(_v3("mobilenet_v3_large", halved=True), padding="symmetric"),
        name="ssdlite320_mobilenet_v3_large",
        predictor=PredictorSpec(3, True, initialization="normal"),
        anchors=torchvision_anchors(),
        box_coder=TORCHVISION_CODER,
        postprocessing=TORCHVISION_POSTPROCESSING,
    )


# Without arguments each is the published one, or one as it would be.
DETECTORS: dict[str, Callable[..., DetectorSpec]] = {
    "ssd_mobilenet_v1": _ssd_v1,
    "ssd_mobilenet_v2": _ssd_v2,
    "ssdlite_mobilenet_v1": partial(_wide, "mobilenet_v1"),
    "ssdlite_mobilenet_v2": partial(_scaled, "mobilenet_v2"),
    "ssdlite_mobilenet_v3_large": partial(_v3, "mobilenet_v3_large", False),
    "ssdlite_mobilenet_v3_large_halved": partial(_v3, "mobilenet_v3_large", True),
    "ssdlite_mobilenet_v3_small": partial(_v3, "mobilenet_v3_small", False),
    "ssdlite_mobilenet_v3_small_halved": partial(_v3, "mobilenet_v3_small", True),
    "ssdlite_mnasnet_a1": partial(_scaled, "mnasnet_a1"),
    "ssdlite_moga_a": _moga_a,
    "ssdlite_efficientnet_lite0": partial(_wide, "efficientnet_lite0"),
    "ssdlite320_mobilenet_v3_large": _torchvision,
}

COCO_NUMBERS = 90  # up to which COCO numbers its 80 classes

# Average precision on COCO in percent, and whose it is.
PUBLISHED_AP: dict[str, tuple[float, str]] = {
    "ssd_mobilenet_v1": (19.3, "1704.04861, Table 13"),
    "ssdlite_mobilenet_v1": (22.2, "1801.04381, Table 6"),
    "ssdlite_mobilenet_v2": (22.1, "1801.04381, Table 6"),
    "ssdlite_mobilenet_v3_large": (22.0, "1905.02244, Table 6"),
    "ssdlite_mobilenet_v3_large_halved": (22.0, "1905.02244, Table 6"),
    "ssdlite_mobilenet_v3_small": (16.0, "1905.02244, Table 6"),
    "ssdlite_mobilenet_v3_small_halved": (16.1, "1905.02244, Table 6"),
    "ssdlite_mnasnet_a1": (23.0, "1807.11626"),
    "ssdlite320_mobilenet_v3_large": (21.3, "torchvision"),
}


def with_scores(spec: DetectorSpec, scores: str) -> DetectorSpec:
    """The detector with other scores, to be trained by a loss that fits them.

    Args:
      spec: any detector.
      scores: "sigmoid", each class by itself, or "softmax", all slots together.

    Raises:
      UserError: the scores are others.
    """
    if scores not in ("sigmoid", "softmax"):
        raise unknown("scores", str(scores), ("sigmoid", "softmax"))
    rule = dataclasses.replace(spec.postprocessing, scores=scores)
    # The bias that makes objects rare at first is made for sigmoids.
    predictor = spec.predictor
    if scores == "softmax":
        predictor = dataclasses.replace(predictor, class_bias=0.0)
    return dataclasses.replace(spec, postprocessing=rule, predictor=predictor)


def get_detector(name: str, **overrides: Any) -> DetectorSpec:
    """The detector of that name. Without overrides it is the published one.

    Args:
      name: a key of `DETECTORS`.
      **overrides: `width_multiplier` for SSDLite on all but MoGA and torchvision's, of
        the extra layers, too; `scores`, see `with_scores`; and those of
        `architectures.replace`, such as `resolution`.

    Raises:
      UserError: the name or a key is unknown, or a value is out of its range.

    >>> get_detector("ssdlite_mobilenet_v2", width_multiplier=0.5).extras[0]
    ExtraLayerSpec(inner_channels=128, out_channels=256, separable=True)
    """
    if name not in DETECTORS:
        raise unknown("detector", str(name), DETECTORS)
    if "scores" in overrides:
        scores = overrides.pop("scores")
        return with_scores(get_detector(name, **overrides), scores)
    make = DETECTORS[name]
    arguments = inspect.signature(make).parameters
    spec = make(**{k: v for k, v in overrides.items() if k in arguments})
    return replace(spec, **{k: v for k, v in overrides.items() if k not in arguments})
