"""How parameters start, by the code that each family of networks comes from."""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from mobilenets.networks.spec import Initialization

Distribution = Literal["truncated_normal", "normal", "uniform"]

# Of unit scale: a normal, one cut at two standard deviations, and -1 to 1.
SAMPLERS: dict[Distribution, Callable[[jax.Array, tuple[int, ...]], jax.Array]] = {
    "truncated_normal": lambda rng, shape: jax.random.truncated_normal(
        rng, -2.0, 2.0, shape
    ),
    "normal": jax.random.normal,
    "uniform": lambda rng, shape: jax.random.uniform(rng, shape, minval=-1.0),
}


@dataclasses.dataclass(frozen=True)
class Draw:
    """A kernel is `scale` times a sample of the distribution."""

    distribution: Distribution
    scale: float


def kernel_draw(
    initialization: Initialization, shape: tuple[int, ...], is_logits: bool
) -> Draw:
    """How a kernel is drawn.

    Args:
      initialization: of the `NetSpec`.
      shape: [k, k, inputs a filter, filters], or [inputs, outputs].
      is_logits: whether it is that of the logits, the only dense layer that is no 1x1
        convolution in the authors' code.

    - slim: `mobilenet_v1.py` and `mobilenet.py` of TensorFlow's slim.
    - efficientnet: `efficientnet_model.py` and `mnasnet_model.py` of the TPU models;
      they count the fan-out of a depthwise kernel as its taps.
    - moga: the models of MoGA's repository; a depthwise kernel's fan-out is its taps
      times its channels.
    - resnet: convolutions as in arXiv:1502.01852, to which ResNet's Sec. 3.4 refers;
      logits as in arXiv:1706.02677, Sec. 5.1, and in the TPU models.
    """
    *taps, inputs, outputs = shape
    if initialization == "slim":
        return Draw("truncated_normal", 0.09)
    if initialization == "resnet":
        std = math.sqrt(2 / (math.prod(taps) * inputs))
        return Draw("normal", 0.01 if is_logits else std)
    if is_logits:
        return Draw("uniform", 1 / math.sqrt(outputs))
    is_depthwise = bool(taps) and inputs == 1
    filters = 1 if is_depthwise and initialization == "efficientnet" else outputs
    return Draw("normal", math.sqrt(2 / (math.prod(taps) * filters)))


def kernel_init(
    initialization: Initialization, is_logits: bool = False
) -> nn.initializers.Initializer:
    """`kernel_draw` as Linen wants it."""

    def init(rng, shape, dtype=jnp.float32):
        draw = kernel_draw(initialization, shape, is_logits)
        return (draw.scale * SAMPLERS[draw.distribution](rng, shape)).astype(dtype)

    return init


def initial_scale(layer: str | None) -> float:
    """The scale with which the batch norm of a layer starts.

    0 for the last of a ResNet's bottleneck, which so begins as the identity:
    arXiv:1706.02677, Sec. 5.1. Otherwise 1.
    """
    return 0.0 if layer == "restore" else 1.0
