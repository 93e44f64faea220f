"""Small networks of every kind of block, with weights that make their outputs differ."""

import dataclasses
import functools

import jax
import numpy as np

from mobilenets import get_spec
from mobilenets.config.schema import Preprocessing
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.architectures.resnet import se_resnet_of_basic
from mobilenets.networks.architectures.ssd import get_detector, ssdlite
from mobilenets.networks.spec import with_backbone, with_output_stride
from mobilenets.nn.build import build
from mobilenets.nn.initialization import init_variables


def net_of(spec, outputs=5, **description):
    """The network with random weights and statistics.

    The statistics are those of no data, so that a folded batch norm is no identity.
    """
    names = tuple(f"class {i}" for i in range(outputs))
    described = Description(
        network=spec, preprocessing=Preprocessing(), class_names=names, **description
    )
    variables = init_variables(build(spec, outputs), jax.random.key(0))
    rng = np.random.default_rng(1)

    def changed(path, leaf):
        name = path[-1].key
        if name in ("scale", "var"):
            return rng.uniform(0.7, 1.4, leaf.shape).astype(np.float32)
        if name in ("bias", "mean"):
            return (0.2 * rng.standard_normal(leaf.shape)).astype(np.float32)
        return 1.5 * np.asarray(leaf)

    variables = jax.tree.map_with_path(changed, variables)
    return TrainedNet(described, variables)


def first_blocks(spec, count, **changes):
    """The network with few blocks."""
    return with_backbone(spec, blocks=spec.backbone.blocks[:count], **changes)
