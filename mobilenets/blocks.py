"""The building blocks of a `ConvNet`, as Linen modules."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from mobilenets.depthwise import depthwise_conv, explicit_padding
from mobilenets.spec import Activation, BlockSpec, Padding

ACTIVATIONS: dict[Activation, Callable[[jax.Array], jax.Array]] = {
    "relu6": jax.nn.relu6,
}

# Every kernel of MobileNetV1 and V2, the logits' included, starts from a normal
# distribution cut at two standard deviations: the authors' `mobilenet_v1.py` and
# `mobilenet.py` in TensorFlow's slim.
KERNEL_INIT = nn.initializers.truncated_normal(0.09)


class Conv(nn.Module):
    """A convolution without bias, dense or depthwise.

    Args:
      features: output channels.
      kernel_size: height and width of the filters, odd.
      stride: of height and width.
      depthwise: one filter a channel; `features` must equal the input's channels.
      padding: see `depthwise_conv`.
      dtype: of the computation; the kernel stays float32.

    The parameter "kernel" is [k, k, inputs, features], or [k, k, 1, features] where
    depthwise, as in `nn.Conv`.
    """

    features: int
    kernel_size: int
    stride: int
    depthwise: bool
    padding: Padding
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, ceil(H / stride), ceil(W / stride), features]."""
        k = self.kernel_size
        inputs_a_filter = 1 if self.depthwise else x.shape[-1]
        shape = (k, k, inputs_a_filter, self.features)
        kernel = self.param("kernel", KERNEL_INIT, shape).astype(self.dtype)
        x = x.astype(self.dtype)
        if self.depthwise:
            return depthwise_conv(x, kernel, self.stride, self.padding)
        native = functools.partial(
            lax.conv_general_dilated,
            window_strides=(self.stride, self.stride),
            padding=explicit_padding(x.shape[1:3], k, self.stride, self.padding),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        if k == self.stride == 1:
            return lax.platform_dependent(x, kernel, cpu=_pointwise, default=native)
        return native(x, kernel)


def _pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 1x1 convolution as a matrix product: on a CPU XLA trains it twice as fast."""
    return (x.reshape(-1, x.shape[-1]) @ kernel[0, 0]).reshape(*x.shape[:-1], -1)


class ConvBN(nn.Module):
    """Convolution, batch norm and, unless `act` is None, an activation."""

    features: int
    kernel_size: int = 1
    stride: int = 1
    depthwise: bool = False
    act: Activation | None = None
    padding: Padding = "same"
    bn_momentum: float = 0.99
    bn_epsilon: float = 1e-3
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """As `Conv`; with `train` normalised by the batch, else by running averages."""
        x = Conv(
            self.features,
            self.kernel_size,
            self.stride,
            self.depthwise,
            self.padding,
            self.dtype,
            name="conv",
        )(x)
        # Under jit with the batch sharded, the mean is over the global batch.
        x = nn.BatchNorm(
            use_running_average=not train,
            momentum=self.bn_momentum,
            epsilon=self.bn_epsilon,
            dtype=self.dtype,
            name="bn",
        )(x)
        return ACTIVATIONS[self.act](x) if self.act else x


class Block(nn.Module):
    """One `BlockSpec`: [expand 1x1] -> depthwise -> project 1x1 [+ shortcut]."""

    spec: BlockSpec
    conv_bn: Callable[..., ConvBN]  # `ConvBN` with the network's constants filled in

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        """Runs the block on x, [N, H, W, in_channels].

        Returns:
          The output, [N, ceil(H / stride), ceil(W / stride), out_channels], and the
          expanded map before the depthwise convolution, [N, H, W, expanded_channels]:
          SSDLite attaches to the latter (MobileNetV2, Sec. 6.2).
        """
        spec, shortcut = self.spec, x
        expanded = spec.expanded_channels
        if spec.has_expansion:
            x = self.conv_bn(expanded, act=spec.act, name="expand")(x, train)
        expanded_map = x
        x = self.conv_bn(
            expanded,
            spec.kernel_size,
            spec.stride,
            depthwise=True,
            act=spec.act,
            name="depthwise",
        )(x, train)
        act = spec.act if spec.op == "depthwise_separable" else None
        x = self.conv_bn(spec.out_channels, act=act, name="project")(x, train)
        return (x + shortcut if spec.has_residual else x), expanded_map
