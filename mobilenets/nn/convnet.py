"""`ConvNet`, the one module that turns a `NetSpec` into a network."""

import functools
import itertools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mobilenets.errors import UserError
from mobilenets.networks.architectures import get_spec, replace
from mobilenets.networks.spec import NetSpec
from mobilenets.nn.batch_norm import Deferred, value
from mobilenets.nn.blocks import (
    ACTIVATIONS,
    BLOCKS,
    ConvBN,
    Map,
    SqueezeExcite,
    max_pool,
)
from mobilenets.nn.initialization import (
    SAMPLERS,
    initial_scale,
    kernel_draw,
    kernel_init,
)
from mobilenets.nn.lowering import Lowering


class ConvNet(nn.Module):
    """A classifier or, with `num_classes=0`, a backbone.

    Args:
      spec: the architecture.
      num_classes: width of the logits; 0 leaves out the dropout and the logits.
      dtype: of the computation. Parameters, statistics and logits are float32.
      frozen: names of modules that behave as in evaluation while others are trained,
        see `frozen_modules`. Who trains keeps their parameters.
      remat: computes each block's maps a second time for the gradient instead of
        keeping them: less memory, more time. The parameters and the result stay.
      lowering: see `mobilenets.nn.lowering`; the parameters are the same. Forward-mode
        differentiation (`jax.jvp`) needs "native".
    """

    spec: NetSpec
    num_classes: int = 1000
    dtype: DTypeLike = jnp.float32
    frozen: tuple[str, ...] = ()
    remat: bool = False
    lowering: Lowering = "auto"

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> tuple[jax.Array | None, dict[str, jax.Array]]:
        """Runs the network.

        Args:
          images: [N, H, W, 3], normalised; H and W need not be the spec's resolution.
          train: use batch statistics, dropout and stochastic depth; `apply` then needs
            `mutable=["batch_stats"]` and an rng "dropout".

        Returns:
          logits: [N, num_classes] float32, None without a head.
          endpoints: feature maps by name: "stem"; of each block "block3", its output,
            and "block3/expand", its map before the depthwise convolution (not in a
            ResNet); "stride2" to "stride32", the last of stem and blocks at each output
            stride; "head_conv" where there is one; "pre_logits", [N, C].
        """
        spec = self.spec
        conv_bn = functools.partial(
            ConvBN,
            padding=spec.padding,
            bn_momentum=spec.bn_momentum,
            bn_epsilon=spec.bn_epsilon,
            initialization=spec.initialization,
            dtype=self.dtype,
            lowering=self.lowering,
        )
        squeeze_excite = functools.partial(
            SqueezeExcite, initialization=spec.initialization, dtype=self.dtype
        )
        x = conv_bn(
            spec.stem_channels,
            spec.stem_kernel_size,
            spec.stem_stride,
            act=spec.act,
            name="stem",
        )(images, self._trains("stem", train))
        stride = spec.stem_stride
        endpoints = {}
        endpoints["stem"] = endpoints[f"stride{stride}"] = value(x)
        if spec.stem_max_pool:
            x, stride = max_pool(value(x), spec.padding), 2 * stride
        for i, block in enumerate(spec.blocks):
            name = f"block{i}"
            module = BLOCKS[type(block)]
            if self.remat:
                module = nn.remat(module, static_argnums=(2,))  # `train`
            x, maps = module(block, conv_bn, squeeze_excite, name=name)(
                x, self._trains(name, train)
            )
            stride *= block.stride
            endpoints |= {f"{name}/{inner}": value(y) for inner, y in maps.items()}
            endpoints[name] = endpoints[f"stride{stride}"] = value(x)
        if spec.head_conv_channels:
            x = conv_bn(spec.head_conv_channels, act=spec.act, name="head_conv")(
                x, self._trains("head_conv", train)
            )
            endpoints["head_conv"] = value(x)
        x = _global_average_pool(x)
        if spec.head_dense_channels:
            x = nn.Dense(
                spec.head_dense_channels,
                use_bias=spec.head_dense_bias,
                kernel_init=kernel_init(spec.initialization),
                dtype=self.dtype,
                name="head_dense",
            )(x)
            x = ACTIVATIONS[spec.act](x)
        endpoints["pre_logits"] = x
        if not self.num_classes:
            return None, endpoints
        x = nn.Dropout(spec.dropout_rate, deterministic=not train)(x)
        logits = nn.Dense(
            self.num_classes,
            kernel_init=kernel_init(spec.initialization, is_logits=True),
            name="logits",
        )(x.astype(jnp.float32))
        return logits, endpoints

    @nn.nowrap
    def role(self, module: str) -> str:
        """Whether a module of it is the head, what belongs to the classes."""
        return "head" if module == "logits" else "backbone"

    def _trains(self, name: str, train: bool) -> bool:
        return train and name not in self.frozen


def _global_average_pool(x: Map) -> jax.Array:
    if isinstance(x, Deferred):
        return value(x.then(lambda x, _: x.mean(axis=(1, 2))))
    return x.mean(axis=(1, 2))


def frozen_modules(spec: NetSpec, trainable_stages: int) -> tuple[str, ...]:
    """The modules in front of the stages that are trained.

    A stage begins with every block that has a stride; what follows the last block
    belongs to the last stage. The logits are always trained.

    Args:
      spec: the network.
      trainable_stages: how many of the last stages are trained; 0 for the logits alone,
        -1 for everything.

    Raises:
      UserError: the network has fewer stages.

    >>> frozen_modules(get_spec("mobilenet_v1"), 2)[-1]  # 512 channels on are trained
    'block4'
    """
    if trainable_stages < 0:
        return ()
    if trainable_stages == 0:
        blocks = [f"block{i}" for i in range(len(spec.blocks))]
        return ("stem", *blocks, "head_conv", "head_dense")
    begins = [i for i, block in enumerate(spec.blocks) if block.stride > 1]
    if trainable_stages > len(begins):
        raise UserError(
            f"trainable_stages is {trainable_stages}, but {spec.name} has "
            f"{len(begins)} stages: use at most that, or -1 to train everything."
        )
    return ("stem", *(f"block{i}" for i in range(begins[-trainable_stages])))


def init_variables(model: ConvNet, rng: jax.Array) -> Any:
    """`model.init` in a second instead of ten: the same tree and distributions.

    All kernels of one distribution are cut from one draw, since XLA compiles a random
    generator for every array that is drawn by itself; all else starts at 0 or 1.

    Returns:
      {"params": ..., "batch_stats": ...}, float32.
    """
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, rng, images)
    leaves, structure = jax.tree.flatten_with_path(shapes)
    names = [tuple(part.key for part in path) for path, _ in leaves]
    shape_of = {n: leaf.shape for n, (_, leaf) in zip(names, leaves, strict=True)}
    kernels = _draw_kernels(
        {n: shape for n, shape in shape_of.items() if n[-1] == "kernel"},
        model.spec.initialization,
        rng,
    )
    constants = {"bias": 0.0, "mean": 0.0, "var": 1.0}
    values = [
        kernels[n]
        if n in kernels
        else jnp.full(shape, constants.get(n[-1], initial_scale(n[-3])), jnp.float32)
        for n, shape in shape_of.items()
    ]
    return jax.tree.unflatten(structure, values)


def _draw_kernels(shapes, initialization, rng) -> dict[tuple[str, ...], jax.Array]:
    """A kernel for each path and shape, as `kernel_draw` says."""
    draws = {
        n: kernel_draw(initialization, s, n[-2] == "logits") for n, s in shapes.items()
    }
    result = {}
    for number, (distribution, sampler) in enumerate(SAMPLERS.items()):
        names = [n for n in shapes if draws[n].distribution == distribution]
        sizes = [math.prod(shapes[n]) for n in names]
        sample = sampler(jax.random.fold_in(rng, number), (sum(sizes),))
        for n, size, end in zip(names, sizes, itertools.accumulate(sizes), strict=True):
            kernel = sample[end - size : end].reshape(shapes[n])
            result[n] = draws[n].scale * kernel
    return result


def create_model(
    architecture: str | NetSpec,
    num_classes: int = 1000,
    dtype: DTypeLike = jnp.float32,
    **overrides: Any,
) -> ConvNet:
    """The Linen module of a network, by name or from its spec.

    Args:
      architecture: a name (`get_spec`), or a spec.
      num_classes: width of the logits; 0 for a backbone.
      dtype: of the computation.
      **overrides: passed to `get_spec` or, with a spec, to `replace`.

    Raises:
      UserError: see `get_spec` and `replace`.

    >>> model = create_model("mobilenet_v2", num_classes=10, width_multiplier=0.35)
    >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    >>> logits, endpoints = model.apply(variables, jnp.zeros((2, 96, 96, 3)))
    >>> logits.shape, endpoints["stride32"].shape
    ((2, 10), (2, 3, 3, 112))
    """
    if isinstance(architecture, NetSpec):
        spec = replace(architecture, **overrides)
    else:
        spec = get_spec(architecture, **overrides)
    if not isinstance(num_classes, int) or num_classes < 0:
        raise UserError(
            f"num_classes must be 0 or a positive integer, but is {num_classes!r}."
        )
    return ConvNet(spec, num_classes, dtype)
