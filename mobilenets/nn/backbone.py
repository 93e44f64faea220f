"""`Backbone`, the module that turns a `BackboneSpec` into maps of images."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mobilenets.errors import UserError
from mobilenets.networks.architectures import get_spec, replace
from mobilenets.networks.spec import (
    BackboneSpec,
    ChoiceSpec,
    HasBackbone,
    backbone_of,
)
from mobilenets.nn.batch_norm import value
from mobilenets.nn.blocks import BLOCKS, ConvBN, Map, SqueezeExcite, max_pool
from mobilenets.nn.initialization import KernelInit
from mobilenets.nn.lowering import Lowering
from mobilenets.nn.roles import Role

Endpoints = dict[str, jax.Array]


class Backbone(nn.Module):
    """Stem, blocks and the last convolution, for the head of any task.

    Args:
      spec: the architecture.
      dtype: the type of the computation. Parameters and statistics are float32.
      frozen: names of modules that behave as in evaluation while others are trained,
        see `frozen_modules`. The caller must keep their parameters unchanged.
      remat: recomputes the maps of each block for the gradient instead of keeping
        them: less memory, more time. Parameters and results do not change.
      lowering: see `mobilenets.nn.lowering`; the parameters are the same. Forward-mode
        differentiation (`jax.jvp`) needs "native".
    """

    spec: BackboneSpec
    dtype: DTypeLike = jnp.float32
    frozen: tuple[str, ...] = ()
    remat: bool = False
    lowering: Lowering = "auto"

    def __call__(self, images: jax.Array, train: bool = False) -> Endpoints:
        """Runs the network.

        Args:
          images: [N, H, W, 3], normalised. H and W may differ from the spec's
            resolution.
          train: use batch statistics and stochastic depth; `apply` then needs
            `mutable=["batch_stats"]` and, with stochastic depth, an rng "dropout".

        Returns:
          Feature maps by name, each [N, H / its stride, W / its stride, C]. They are
          "stem"; for each block its output, such as "block3", and its maps before and
          after the depthwise convolution, such as "block3/expand" and
          "block3/depthwise" (not in a ResNet); "stride2" to "stride32", the last map at
          each output stride; "head_conv" if there is one; "features", the last map of
          all.
        """
        x, endpoints = self.run(images, train)
        last = "head_conv" if self.spec.head_conv_channels else None
        features = endpoints[last] if last else value(x)
        return {**endpoints, "features": features}

    @nn.compact
    def run(
        self, images: jax.Array, train: bool, path: jax.Array | None = None
    ) -> tuple[Map, Endpoints]:
        """The last map as a head of this package reads it, and the maps by name.

        Args:
          images: see `__call__`.
          train: see `__call__`.
          path: the choice at each open block, int32; None where there are none.
        """
        spec = self.spec
        _check_images(images)
        conv_bn, squeeze_excite = makers(spec, self.dtype, self.lowering)
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
            padding = "same" if spec.stem_max_pool == "same" else spec.padding
            x, stride = max_pool(value(x), padding), 2 * stride
        for i, block in enumerate(spec.blocks):
            name = f"block{i}"
            module = BLOCKS[type(block)]
            if self.remat:
                module = nn.remat(module, static_argnums=(2,))  # `train`
            chosen = ()
            if path is not None and isinstance(block, ChoiceSpec):
                chosen, path = (path[0],), path[1:]
            x, maps = module(block, conv_bn, squeeze_excite, name=name)(
                x, self._trains(name, train), *chosen
            )
            stride *= block.stride
            endpoints |= {f"{name}/{inner}": value(y) for inner, y in maps.items()}
            endpoints[name] = endpoints[f"stride{stride}"] = value(x)
        if spec.head_conv_channels:
            x = conv_bn(spec.head_conv_channels, act=spec.act, name="head_conv")(
                x, self._trains("head_conv", train)
            )
            endpoints["head_conv"] = value(x)
        return x, endpoints

    def role(self, module_name: str) -> Role:
        """See `HasRoles`."""
        del module_name
        return "backbone"

    def _trains(self, name: str, train: bool) -> bool:
        return train and name not in self.frozen


def makers(
    spec: BackboneSpec, dtype: DTypeLike = jnp.float32, lowering: Lowering = "auto"
) -> tuple[Callable[..., ConvBN], Callable[..., SqueezeExcite]]:
    """What blocks are made with: the two modules, a network's constants filled in.

    Args:
      spec: the network; its blocks do not matter.
      dtype: see `Backbone`.
      lowering: see `Backbone`.
    """
    kernel_init = KernelInit(spec.initialization)
    conv_bn = functools.partial(
        ConvBN,
        padding=spec.padding,
        bn_momentum=spec.bn_momentum,
        bn_epsilon=spec.bn_epsilon,
        kernel_init=kernel_init,
        dtype=dtype,
        lowering=lowering,
    )
    squeeze_excite = functools.partial(
        SqueezeExcite, kernel_init=kernel_init, dtype=dtype
    )
    return conv_bn, squeeze_excite


def _check_images(images: jax.Array) -> None:
    """Raises UserError unless the images have the shape [N, H, W, 3].

    It looks at shapes alone, so that a program that is compiled spends no time on it.
    """
    shape = jnp.shape(images)
    if len(shape) == 4 and shape[-1] == 3:
        return
    way = ""
    if len(shape) == 3 and shape[-1] == 3:
        way = ": give a batch, as by images[None]"
    elif len(shape) == 4 and shape[1] == 3:
        way = ": put the channels last, as by images.transpose(0, 2, 3, 1)"
    elif len(shape) == 4 and shape[-1] == 1:
        way = ": repeat the grey channel, as by images.repeat(3, axis=-1)"
    raise UserError(
        "A network takes images of the shape [N, H, W, 3], height by width by red, "
        f"green and blue, but these have {list(shape)}{way}."
    )


def frozen_modules(
    spec: BackboneSpec | HasBackbone, trainable_stages: int
) -> tuple[str, ...]:
    """The modules in front of the stages that are trained.

    A stage begins with every block that has a stride; what follows the last block
    belongs to the last stage. The output layer is always trained.

    Args:
      spec: the network, or a backbone.
      trainable_stages: how many of the last stages are trained; 0 for the output layer
        alone, -1 for everything.

    Raises:
      UserError: the network has fewer stages.

    >>> frozen_modules(get_spec("mobilenet_v1"), 2)[-1]  # 512 channels on are trained
    'block4'
    """
    blocks = backbone_of(spec).blocks
    if trainable_stages < 0:
        return ()
    if trainable_stages == 0:
        names = [f"block{i}" for i in range(len(blocks))]
        return ("stem", *names, "head_conv", "head_dense")
    begins = [i for i, block in enumerate(blocks) if block.stride > 1]
    if trainable_stages > len(begins):
        raise UserError(
            f"trainable_stages is {trainable_stages}, but {spec.name} has "
            f"{len(begins)} stages: use at most that, or -1 to train everything."
        )
    return ("stem", *(f"block{i}" for i in range(begins[-trainable_stages])))


def create_backbone(
    architecture: str | BackboneSpec | HasBackbone,
    name: str | None = None,
    dtype: DTypeLike = jnp.float32,
    **overrides: Any,
) -> Backbone:
    """Creates the Linen module of a network without its head.

    Args:
      architecture: a name (`get_spec`), or a spec.
      name: the name of the module within another module.
      dtype: the type of the computation.
      **overrides: passed to `get_spec` or, with a spec, to `replace`.

    Raises:
      UserError: see `get_spec` and `replace`.

    >>> from mobilenets.nn.initialization import init_variables
    >>> backbone = create_backbone("mobilenet_v1", width_multiplier=0.25)
    >>> variables = init_variables(backbone, jax.random.key(0))
    >>> endpoints = jax.jit(backbone.apply)(variables, jnp.zeros((2, 96, 96, 3)))
    >>> endpoints["stride16"].shape, endpoints["features"].shape
    ((2, 6, 6, 128), (2, 3, 3, 256))
    """
    if isinstance(architecture, str):
        spec = backbone_of(get_spec(architecture, **overrides))
    else:
        spec = replace(backbone_of(architecture), **overrides)
    return Backbone(spec, dtype, name=name)
