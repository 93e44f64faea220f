"""The building blocks of a `Backbone`, as Linen modules."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from mobilenets.errors import UserError
from mobilenets.networks.spec import (
    Activation,
    BasicSpec,
    BlockSpec,
    BottleneckSpec,
    ChoiceSpec,
    FixedBlock,
    Gate,
    Padding,
    SqueezeExciteSpec,
)
from mobilenets.nn.batch_norm import (
    Deferred,
    batch_statistics,
    identity,
    normalize,
    read,
    value,
)
from mobilenets.nn.depthwise import (
    depthwise_conv,
    explicit_padding,
    pad_pixels,
    seen_by_tap,
)
from mobilenets.nn.initialization import ONES, ZEROS, KernelInit
from mobilenets.nn.lowering import Lowering, choose

Map = jax.Array | Deferred

IMAGE_CHANNELS = 3

ACTIVATIONS: dict[Activation | Gate, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "hard_swish": jax.nn.hard_swish,
    "swish": jax.nn.swish,
    "sigmoid": jax.nn.sigmoid,
    "hard_sigmoid": jax.nn.hard_sigmoid,  # relu6(x + 3) / 6
}


class Conv(nn.Module):
    """A convolution without bias, dense or depthwise.

    Args:
      features: output channels.
      kernel_size: height and width of the filters, odd.
      stride: of height and width.
      dilation: pixels from one tap to the next; above 1 the stride must be 1.
      depthwise: one filter a channel; `features` must equal the input's channels.
      padding: see `depthwise_conv`.
      kernel_init: of the kernel.
      dtype: of the computation; the kernel stays float32.
      lowering: see `mobilenets.nn.lowering`.

    The parameter "kernel" is [k, k, inputs, features], or [k, k, 1, features] where
    depthwise, as in `nn.Conv`.
    """

    features: int
    kernel_size: int
    stride: int
    dilation: int
    depthwise: bool
    padding: Padding
    kernel_init: nn.initializers.Initializer
    dtype: DTypeLike
    lowering: Lowering

    @nn.compact
    def __call__(self, x: Map) -> tuple[jax.Array, jax.Array]:
        """[N, H, W, C] -> [N, ceil(H / stride), ceil(W / stride), features].

        Returns:
          The convolved map, and the 0 of `batch_norm.read`.
        """
        k = self.kernel_size
        inputs = (x.z if isinstance(x, Deferred) else x).shape[-1]
        shape = (k, k, 1 if self.depthwise else inputs, self.features)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        if isinstance(x, Deferred):
            x = x.then(self._convolve, kernel)
        else:
            x = self._convolve(x.astype(self.dtype), kernel)
        return read(x)

    @nn.nowrap
    def _convolve(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        stride, padding, dilation = self.stride, self.padding, self.dilation
        if self.depthwise:
            return depthwise_conv(x, kernel, stride, padding, dilation, self.lowering)
        pads = explicit_padding(
            x.shape[1:3], self.kernel_size, stride, padding, dilation
        )
        native = functools.partial(
            lax.conv_general_dilated,
            window_strides=(stride, stride),
            padding=pads,
            rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        is_small_stem = x.shape[-1] == IMAGE_CHANNELS and self.kernel_size <= 3
        if dilation > 1 or (self.kernel_size > 1 and not is_small_stem):
            return native(x, kernel)
        matmul = functools.partial(_matmul, stride=stride, pads=pads)
        return choose(self.lowering, x, kernel, cpu=matmul, native=native)


def _matmul(
    x: jax.Array, kernel: jax.Array, stride: int, pads: list[tuple[int, int]]
) -> jax.Array:
    """A convolution as one matrix product, on a CPU twice as fast as XLA's own.

    With a kernel larger than 1x1 every pixel is copied k * k times first, which pays
    for a 3x3 kernel on an image's three channels alone.
    """
    k = len(kernel)
    padded = pad_pixels(x, pads)
    height, width = ((n - k) // stride + 1 for n in padded.shape[1:3])
    seen = [
        seen_by_tap(padded, i, j, (height, width), stride)
        for i in range(k)
        for j in range(k)
    ]
    seen = jnp.concatenate(seen, axis=-1).reshape(-1, k * k * x.shape[-1])
    y = seen @ kernel.reshape(seen.shape[-1], -1)
    return y.reshape(x.shape[0], height, width, y.shape[-1])


def max_pool(x: jax.Array, padding: Padding) -> jax.Array:
    """The largest of 3x3 pixels at stride 2: [N, ceil(H / 2), ceil(W / 2), C]."""
    pads = explicit_padding(x.shape[1:3], 3, 2, padding)
    return nn.max_pool(x, (3, 3), (2, 2), pads)  # pyright: ignore[reportArgumentType]


class BatchNorm(nn.Module):
    """Batch norm and activation, with the variables of `flax.linen.BatchNorm`."""

    act: Activation | None
    momentum: float
    epsilon: float
    scale_init: nn.initializers.Initializer
    lowering: Lowering
    bias_init: nn.initializers.Initializer = ZEROS
    mean_init: nn.initializers.Initializer = ZEROS
    var_init: nn.initializers.Initializer = ONES

    @nn.compact
    def __call__(self, z: jax.Array, train: bool, late_zero: jax.Array) -> Map:
        """With `train` normalised by the batch, else by the running averages.

        A `Deferred` in training, with what `batch_norm.read` gave beside the map that z
        was computed from; an array in evaluation. Under jit with the batch sharded, the
        mean is over the global batch.
        """
        act = ACTIVATIONS[self.act] if self.act else identity
        channels = z.shape[-1:]
        scale = self.param("scale", self.scale_init, channels, jnp.float32)
        bias = self.param("bias", self.bias_init, channels, jnp.float32)
        running = [
            self.variable("batch_stats", name, init, None, channels, jnp.float32)
            for name, init in (("mean", self.mean_init), ("var", self.var_init))
        ]
        if not train:
            mean, variance = (variable.value for variable in running)
            return act(normalize(z, mean, variance, scale, bias, self.epsilon))
        statistics = batch_statistics(z)
        deferred = Deferred(
            z,
            *statistics,
            scale,
            bias,
            epsilon=self.epsilon,
            act=act,
            lowering=self.lowering,
            late_zero=late_zero,
        )
        if self.is_initializing():  # what reads it may have no weights yet
            return value(deferred)
        for variable, new in zip(running, statistics, strict=True):
            old = variable.value
            variable.value = self.momentum * old + (1 - self.momentum) * new
        return deferred


class ConvBN(nn.Module):
    """Convolution, batch norm and, unless `act` is None, an activation."""

    features: int
    kernel_size: int = 1
    stride: int = 1
    dilation: int = 1
    depthwise: bool = False
    act: Activation | None = None
    padding: Padding = "same"
    bn_momentum: float = 0.99
    bn_epsilon: float = 1e-3
    kernel_init: nn.initializers.Initializer = KernelInit("slim")
    scale_init: nn.initializers.Initializer = ONES  # of the batch norm
    dtype: DTypeLike = jnp.float32
    lowering: Lowering = "auto"

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """As `Conv`, and then as `BatchNorm`: in training the result is `Deferred`."""
        z, late_zero = Conv(
            self.features,
            self.kernel_size,
            self.stride,
            self.dilation,
            self.depthwise,
            self.padding,
            self.kernel_init,
            self.dtype,
            self.lowering,
            name="conv",
        )(x)
        if self.lowering == "native":
            x = nn.BatchNorm(
                not train,
                momentum=self.bn_momentum,
                epsilon=self.bn_epsilon,
                scale_init=self.scale_init,
                bias_init=ZEROS,
                dtype=self.dtype,
                name="bn",
            )(z)
            return ACTIVATIONS[self.act](x) if self.act else x
        return BatchNorm(
            self.act,
            self.bn_momentum,
            self.bn_epsilon,
            self.scale_init,
            self.lowering,
            name="bn",
        )(z, train, late_zero)


class SqueezeExcite(nn.Module):
    """Scales each channel by what the means of all channels say of it."""

    spec: SqueezeExciteSpec
    kernel_init: nn.initializers.Initializer
    dtype: DTypeLike

    def __call__(self, x: Map) -> Map:
        """[N, H, W, C] -> the same shape."""
        if isinstance(x, Deferred):
            unbound = self.clone(parent=None)
            return x.gated(
                lambda means, own: unbound.apply(own, means, method="gates"),
                self.variables,
            )
        return x * self.gates(x.mean(axis=(1, 2)))[:, None, None]

    @nn.compact
    def gates(self, means: jax.Array) -> jax.Array:
        """What each channel is scaled by, from the means of all: [N, C] -> [N, C]."""
        dense = functools.partial(
            nn.Dense,
            kernel_init=self.kernel_init,
            bias_init=ZEROS,
            dtype=self.dtype,
        )
        squeezed = dense(self.spec.channels, name="reduce")(means)
        squeezed = ACTIVATIONS[self.spec.act](squeezed)
        gates = dense(means.shape[-1], name="expand")(squeezed)
        return ACTIVATIONS[self.spec.gate](gates)


class Block(nn.Module):
    """One `BlockSpec`."""

    spec: BlockSpec
    conv_bn: Callable[..., ConvBN]  # `ConvBN` with the network's constants filled in
    squeeze_excite: Callable[..., SqueezeExcite]  # the same
    project_scale_init: nn.initializers.Initializer = ONES  # of the last batch norm

    @nn.compact
    def __call__(self, x: Map, train: bool) -> tuple[Map, dict[str, Map]]:
        """Runs the block on x, [N, H, W, in_channels].

        Returns:
          The output, [N, ceil(H / stride), ceil(W / stride), out_channels], and the
          maps around the depthwise convolution, of expanded_channels: "expand" before
          it, to which SSDLite attaches (MobileNetV2, Sec. 6.2), and "depthwise" behind
          it, before squeeze-and-excitation, which LR-ASPP reads.
        """
        spec = self.spec
        if spec.residual:
            x = value(x)  # it is read twice
        shortcut = x
        separable = spec.op == "depthwise_separable"
        expanded = spec.expanded_channels
        if spec.has_expansion:
            x = self.conv_bn(expanded, act=spec.act, name="expand")(x, train)
        maps = {"expand": x}
        x = self.conv_bn(
            expanded,
            spec.kernel_size,
            spec.stride,
            spec.dilation,
            depthwise=True,
            act=spec.act,
            name="depthwise",
        )(x, train)
        maps["depthwise"] = x
        if spec.se and not separable:
            x = self.squeeze_excite(spec.se, name="se")(x)
        act = spec.act if separable else None
        x = self.conv_bn(
            spec.out_channels,
            act=act,
            scale_init=self.project_scale_init,
            name="project",
        )(x, train)
        if spec.se and separable:
            x = self.squeeze_excite(spec.se, name="se")(x)
        if spec.residual:
            x = value(shortcut) + _drop_path(spec.drop_path_rate, train)(value(x))
        return x, maps


class Bottleneck(nn.Module):
    """One `BottleneckSpec`."""

    spec: BottleneckSpec
    conv_bn: Callable[..., ConvBN]
    squeeze_excite: Callable[..., SqueezeExcite]

    @nn.compact
    def __call__(self, x: Map, train: bool) -> tuple[Map, dict[str, Map]]:
        """As `Block`; there are no maps but the output."""
        spec = self.spec
        x = shortcut = value(x)
        conv_bn, inner, act = self.conv_bn, spec.inner_channels, spec.act
        strides = spec.strides
        x = conv_bn(inner, 1, strides[0], act=act, name="reduce")(x, train)
        x = conv_bn(inner, 3, strides[1], spec.dilation, act=act, name="spatial")(
            x, train
        )
        # So that the block begins as the identity: arXiv:1706.02677, Sec. 5.1.
        x = conv_bn(spec.out_channels, scale_init=ZEROS, name="restore")(x, train)
        if spec.se:
            x = self.squeeze_excite(spec.se, name="se")(x)
        if spec.projection:
            shortcut = conv_bn(spec.out_channels, 1, spec.stride, name="shortcut")(
                shortcut, train
            )
        return ACTIVATIONS[act](value(x) + value(shortcut)), {}


class Basic(nn.Module):
    """One `BasicSpec`."""

    spec: BasicSpec
    conv_bn: Callable[..., ConvBN]
    squeeze_excite: Callable[..., SqueezeExcite]

    @nn.compact
    def __call__(self, x: Map, train: bool) -> tuple[Map, dict[str, Map]]:
        """As `Bottleneck`."""
        spec = self.spec
        x = shortcut = value(x)
        conv_bn, out, act = self.conv_bn, spec.out_channels, spec.act
        x = conv_bn(out, 3, spec.stride, spec.dilation, act=act, name="first")(x, train)
        second = conv_bn(
            out,
            3,
            dilation=spec.second_dilation,
            act=spec.second_act,
            scale_init=ZEROS,
            name="second",
        )
        x = second(x, train)
        if spec.se:
            x = self.squeeze_excite(spec.se, name="se")(x)
        if spec.projection:
            shortcut = conv_bn(out, 1, spec.stride, name="shortcut")(shortcut, train)
        return ACTIVATIONS[act](value(x) + value(shortcut)), {}


def _beginning(choice: FixedBlock) -> dict[str, Any]:
    """How a choice of a supernet starts: an inverted residual as the identity.

    As in ResNets (arXiv:1706.02677, Sec. 5.1). Then networks that differ in such
    choices alone begin alike, and what lies behind a position learns from the first
    step. With scales of 1 it first sees as many unrelated maps as there are choices.
    """
    if not isinstance(choice, BlockSpec) or not choice.residual:
        return {}
    return {"project_scale_init": ZEROS} if choice.op == "inverted_residual" else {}


class Choice(nn.Module):
    """One `ChoiceSpec`: all choices have parameters, one is computed."""

    spec: ChoiceSpec
    conv_bn: Callable[..., ConvBN]
    squeeze_excite: Callable[..., SqueezeExcite]

    def setup(self):
        """Makes the modules, "choice0", "choice1", …; Linen calls it."""
        self.choices = [
            BLOCKS[type(choice)](
                choice,
                self.conv_bn,
                self.squeeze_excite,
                name=f"choice{i}",
                **_beginning(choice),
            )
            for i, choice in enumerate(self.spec.choices)
        ]

    def __call__(
        self, x: Map, train: bool, chosen: jax.Array | None = None
    ) -> tuple[Map, dict[str, Map]]:
        """As `Block`, but the output is no `Deferred`; there is no expanded map.

        Args:
          x: the input.
          train: see `Block`.
          chosen: the number of the choice, int32. What is not chosen has a gradient of
            0, and its statistics stay as they are.
        """
        x = value(x)  # all choices have the same kind of input and output
        if self.is_initializing():
            outputs = [value(choice(x, train)[0]) for choice in self.choices]
            return outputs[0], {}
        if chosen is None:
            raise UserError(
                f"{self.name} is open: without a path, a supernet has no outputs. "
                "Extract a network from it."
            )
        branches = tuple(
            _Branch(f"choice{i}", choice.clone(parent=None), train)
            for i, choice in enumerate(self.choices)
        )
        collections = self.variables
        params, statistics = collections["params"], collections["batch_stats"]
        switched: Any = _switch(branches, chosen, params, x, statistics)
        x, statistics = switched
        if train:
            for name, of_choice in statistics.items():
                self.put_variable("batch_stats", name, of_choice)
        return x, {}


@dataclasses.dataclass(frozen=True)
class _Branch:
    """What computes a choice; equal for equal modules.

    Args:
      name: of the choice, among parameters and statistics.
      choice: its module, unbound.
      train: see `Block`.
    """

    name: str
    choice: nn.Module
    train: bool

    def __call__(
        self, params: Any, x: jax.Array, statistics: Any
    ) -> tuple[jax.Array, Any]:
        """The output of the choice, and the statistics of all after it.

        Args:
          params: of all choices.
          x: the input.
          statistics: of all choices.
        """
        name = self.name
        variables = {"params": params[name], "batch_stats": statistics[name]}
        mutable = ["batch_stats"] if self.train else []
        found: Any = self.choice.apply(variables, x, self.train, mutable=mutable)
        (x, _), updated = found
        return value(x), {
            **statistics,
            name: updated.get("batch_stats", statistics[name]),
        }


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _switch(branches, chosen, params, x, statistics):
    """One of the branches, which is computed again for the gradient.

    The gradient of `lax.switch` keeps what any branch would keep, filled with zeros
    where another one is taken. Here it keeps the input alone.
    """
    return _forwards(branches, chosen, params, x, statistics)


def _switch_forward(branches, chosen, params, x, statistics):
    outputs = _switch(branches, chosen, params, x, statistics)
    return outputs, (chosen, params, x, statistics)


def _switch_backward(branches, residuals, cotangents):
    return None, *_backwards(branches, *residuals, cotangents[0]), None


# Jitted, so that positions with the same choices are traced and lowered once. They
# share `conv_bn`, which is made anew for each trace of a network: none outlives it.


@functools.partial(jax.jit, static_argnums=0)
def _forwards(branches, chosen, params, x, statistics):
    return lax.switch(chosen, branches, params, x, statistics)


@functools.partial(jax.jit, static_argnums=0)
def _backwards(branches, chosen, params, x, statistics, cotangent):
    def backward(branch):
        def run(params, x, cotangent):
            _, pull_back = jax.vjp(lambda p, x: branch(p, x, statistics)[0], params, x)
            return pull_back(cotangent)

        return run

    backwards = [backward(branch) for branch in branches]
    return lax.switch(chosen, backwards, params, x, cotangent)


_switch.defvjp(_switch_forward, _switch_backward)


# The module of each kind of block. It is made from the spec, `conv_bn` and
# `squeeze_excite`, and called with a map and `train`, as `Block`.
BLOCKS: dict[type, Callable[..., Any]] = {
    BlockSpec: Block,
    BottleneckSpec: Bottleneck,
    BasicSpec: Basic,
    ChoiceSpec: Choice,
}


def _drop_path(rate: float, train: bool) -> nn.Dropout:
    """Stochastic depth: zeroes an example's whole branch, scales up the others'."""
    return nn.Dropout(rate, broadcast_dims=(1, 2, 3), deterministic=not train)
