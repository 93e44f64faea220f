"""Small networks of every kind of block, with weights that tell images apart."""

import dataclasses
import functools
import re

import jax
import numpy as np
import pytest

from mobilenets import get_spec
from mobilenets.config.schema import Preprocessing
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.architectures.deeplab import deeplabv3, lraspp, raspp
from mobilenets.networks.architectures.resnet import se_resnet_of_basic
from mobilenets.networks.architectures.ssd import ssd, ssdlite
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.segmenter import AuxiliarySpec, LRASPPSpec, SegmenterSpec
from mobilenets.networks.spec import (
    BackboneSpec,
    backbone_of,
    with_backbone,
    with_drop_path,
    with_output_stride,
)
from mobilenets.nn.build import build
from mobilenets.nn.initialization import init_variables

# Its converter cannot be in the extra dev, see pyproject.toml.
LITERT = pytest.param("litert", marks=pytest.mark.slow)


LINEAR = {"project", "restore", "second", "shortcut"}


def net_of(spec, outputs=5, names=(), **description):
    """The network with random weights and statistics.

    The statistics are those of no data, so that a folded batch norm is no identity. The
    kernels keep the variance of a map behind ReLU (arXiv:1502.01852, Eq. 10), so that
    in a deep network, too, the first layer counts in the outputs; behind gates, which
    are about a half, kernels are twice as large. The last kernel of a block without an
    activation behind it is half as large. Otherwise maps would grow from block to
    block, and gates computed from numbers in the thousands magnify the rounding.
    """
    names = names or tuple(f"class {i}" for i in range(outputs))
    described = Description(
        network=spec, preprocessing=Preprocessing(), class_names=names, **description
    )
    model = build(spec, len(names))
    shapes = jax.eval_shape(lambda: init_variables(model, jax.random.key(0)))
    rng = np.random.default_rng(1)

    def drawn(path, leaf):
        values = rng.standard_normal(leaf.shape)
        if path[-1].key == "kernel":
            values *= gain(path) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
        elif path[-1].key in ("scale", "var"):
            values = rng.uniform(0.7, 1.4, leaf.shape)
        else:
            values *= 0.2
        return values.astype(np.float32)

    blocks = backbone_of(spec).blocks

    def gain(path):
        names = [part.key for part in path]
        block = blocks[int(names[1][5:])] if names[1].startswith("block") else None
        behind_gates = "project" in names and bool(block and block.se)
        return (2.0 if behind_gates else 1.0) * (0.5 if linear(block, names) else 1.0)

    def linear(block, names):
        if not LINEAR.intersection(names):
            return False
        return getattr(block, "op", None) != "depthwise_separable"

    variables = jax.tree.map_with_path(drawn, shapes)
    return TrainedNet(described, variables)


def first_blocks(name, count, resolution, **changes):
    """A published network with few blocks, and no wide last convolution."""
    spec = get_spec(name, resolution=resolution)
    changes = {"head_conv_channels": 24, **changes}
    return with_backbone(spec, blocks=spec.backbone.blocks[:count], **changes)


def without_repeats(spec):
    """The network without the blocks that equal the one before.

    They show nothing new, and would be compiled all the same. What a head reads of one
    of them it then reads of the one before.
    """
    places, blocks = [], []
    for block in backbone_of(with_drop_path(spec, 0.0)).blocks:
        if block not in blocks[-1:]:
            blocks.append(block)
        places.append(len(blocks) - 1)

    def moved(map_):
        return re.sub(r"\d+", lambda number: str(places[int(number[0])]), map_)

    spec = with_backbone(spec, blocks=tuple(blocks))
    if isinstance(spec, DetectorSpec):
        return dataclasses.replace(spec, features=tuple(map(moved, spec.features)))
    if not isinstance(spec, SegmenterSpec):
        return spec
    if isinstance(spec.head, LRASPPSpec):
        head = dataclasses.replace(spec.head, low_level=moved(spec.head.low_level))
        spec = dataclasses.replace(spec, head=head)
    if spec.auxiliary:
        feature = moved(spec.auxiliary.feature)
        auxiliary = dataclasses.replace(spec.auxiliary, feature=feature)
        spec = dataclasses.replace(spec, auxiliary=auxiliary)
    return spec


def _detector(make, padding):
    """Three maps of 8, 4 and 2 pixels."""
    spec = get_spec("mobilenet_v2", width_multiplier=0.35, resolution=32)
    blocks = spec.backbone.blocks[:4]
    backbone = with_backbone(spec, blocks=blocks, padding=padding)
    spec = make(with_backbone(backbone, head_conv_channels=24))
    anchors = (spec.anchors[0], *spec.anchors[1:3])
    return dataclasses.replace(spec, extras=spec.extras[3:], anchors=anchors)


def _basic():
    """The first two stages of SE-ResNet-18, one block of each."""
    spec = se_resnet_of_basic(18, resolution=33)
    blocks = spec.backbone.blocks
    return with_backbone(spec, blocks=(blocks[0], blocks[2]), padding="symmetric")


def _segmenter(make, name, count, resolution, padding, of_head=None, **changes):
    """On a few blocks at output stride 16, 8 channels in the head."""
    network = first_blocks(name, count, resolution, padding=padding)
    spec = make(network, filters=8)
    head = dataclasses.replace(spec.head, **(of_head or {}))
    return dataclasses.replace(spec, head=head, **changes)


# torchvision's forms: its LR-ASPP has a plain gate and reads the end of a block.
TORCHVISION = {
    "lraspp": {"low_level": "block3", "gate": "sigmoid", "pooling_stride": None},
    "deeplabv3": {"rates": (1, 2), "refined": True},
}


# All kinds of blocks and heads, both paddings, even and odd sizes.
SPECS = {
    "depthwise separable": first_blocks("mobilenet_v1", 3, 33),
    "inverted residual": first_blocks("mobilenet_v2", 4, 33, padding="symmetric"),
    "dilated": with_output_stride(first_blocks("mobilenet_v2", 6, 32), 4),
    "hard gates": first_blocks("mobilenet_v3_small", 5, 32),
    "swish": first_blocks("efficientnet_b0", 4, 47),
    "gates behind": first_blocks("se_mobilenet_v1", 2, 32),
    "bottleneck": first_blocks("se_resnet50", 1, 32, head_conv_channels=0),
    "v1 bottleneck": first_blocks("resnet50", 4, 33, head_conv_channels=0),
    "basic": _basic(),
    "backbone": first_blocks("mobilenet_v2", 3, 32).backbone,
    "SSDLite": _detector(ssdlite, "same"),
    "SSD": _detector(ssd, "symmetric"),
    "LR-ASPP": _segmenter(lraspp, "mobilenet_v3_small", 5, 64, "same"),
    "LR-ASPP of torchvision": _segmenter(
        *(lraspp, "mobilenet_v2", 7, 65, "symmetric", TORCHVISION["lraspp"]),
        resizing="half_pixel",
    ),
    "R-ASPP": _segmenter(raspp, "mobilenet_v2", 7, 65, "same"),
    "DeepLabv3": _segmenter(deeplabv3, "mobilenet_v1", 7, 65, "same"),
    "DeepLabv3 of torchvision": _segmenter(
        *(deeplabv3, "mobilenet_v1", 7, 64, "symmetric", TORCHVISION["deeplabv3"]),
        resizing="half_pixel",
        auxiliary=AuxiliarySpec("block2", 8, dropout_rate=0.1),
    ),
}


@functools.cache
def net(name):
    """One of `SPECS`, with weights."""
    spec = SPECS[name]
    return net_of(spec, 0 if isinstance(spec, BackboneSpec) else 5)
