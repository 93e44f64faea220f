"""A network like a MobileNetV3, so small that it compiles in seconds."""

import jax
import numpy as np

from mobilenets.networks.spec import (
    BackboneSpec,
    ClassifierSpec,
    SqueezeExciteSpec,
    inverted_residual,
)
from mobilenets.nn.classifier import Classifier
from mobilenets.nn.initialization import init_variables

CLASSES = 10


def squeeze(channels):
    return SqueezeExciteSpec(channels, "relu", "hard_sigmoid")


# Squeeze-and-excitation as V3: a quarter of the expansion, a multiple of 8, and not
# less than 90 % of the quarter. 24 / 4 = 6: 8. 40 / 4 = 10: 16.
SPEC = ClassifierSpec(
    BackboneSpec(
        name="small_v3",
        resolution=16,
        stem_channels=8,
        act="hard_swish",
        blocks=(
            inverted_residual(8, 8, 8, 3, 1, "relu"),
            inverted_residual(8, 24, 16, 3, 2, "relu", squeeze(8)),
            inverted_residual(16, 40, 16, 3, 1, "hard_swish", squeeze(16)),
        ),
        bn_momentum=0.9,
        bn_epsilon=1e-3,
        initialization="slim",
        head_conv_channels=16,
    ),
    dropout_rate=0.0,
)


def variables():
    """Random ones, none of which is 0."""
    model = Classifier(SPEC, CLASSES)
    shapes = jax.eval_shape(lambda: init_variables(model, jax.random.key(0)))
    generator = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: (
            generator.uniform(0.1, 1.0, leaf.shape).astype(np.float32)
            * generator.choice([0.3, 1.0], leaf.shape).astype(np.float32)
        ),
        shapes,
    )
