"""A detector that compiles in seconds, where the network does not matter."""

import dataclasses

from mobilenets import get_spec
from mobilenets.networks.architectures.ssd import LITE_V3, ssdlite
from mobilenets.networks.spec import with_backbone


def small_backbone(width_multiplier=0.35):
    """The first blocks of MobileNetV2, without repeats: it ends at stride 8."""
    spec = get_spec("mobilenet_v2", width_multiplier=width_multiplier, resolution=64)
    first, second, _, fourth, *_ = spec.backbone.blocks
    return with_backbone(
        spec.backbone, blocks=(first, second, fourth), head_conv_channels=0
    )


def small_detector(width_multiplier=0.35):
    """Three maps, of which the last is that of an extra layer of 16 channels."""
    spec = ssdlite(small_backbone(width_multiplier), width_multiplier=0.01)
    return dataclasses.replace(
        spec, predictor=LITE_V3, extras=spec.extras[:1], anchors=spec.anchors[:3]
    )


def wider_detector():
    return small_detector(width_multiplier=0.5)
