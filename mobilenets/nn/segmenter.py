"""`Segmenter`, the module that turns a `SegmenterSpec` into a network."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mobilenets.networks.layers import divided
from mobilenets.networks.segmenter import (
    ASPPSpec,
    AuxiliarySpec,
    LRASPPSpec,
    Resizing,
    SegmenterSpec,
)
from mobilenets.nn.backbone import Backbone, Endpoints
from mobilenets.nn.batch_norm import value
from mobilenets.nn.blocks import ACTIVATIONS, ConvBN
from mobilenets.nn.initialization import ZEROS, Draw, KernelInit
from mobilenets.nn.lowering import Lowering
from mobilenets.nn.roles import Role
from mobilenets.segmentation.resizing import resize

# Of the kernels of logits in TensorFlow's DeepLab.
LOGITS_INIT = Draw("truncated_normal", 0.01)


class SegmentationLogits(NamedTuple):
    """What a segmenter says of every pixel of the images."""

    logits: jax.Array  # [N, H, W, classes] float32
    auxiliary_logits: jax.Array | None  # the same, where there is an auxiliary head


class Segmenter(nn.Module):
    """A backbone and a head with logits for every pixel.

    Args:
      spec: the architecture.
      num_classes: number of logits of a pixel; a background is one of the classes.
      dtype: the type of the computation. Parameters, statistics and logits are float32.
      frozen: names of modules, of the heads as well, see `Backbone`.
      remat: see `Backbone`.
      lowering: see `Backbone`.

    The parameters of the backbone are on the same level as those of the head: "aspp0",
    …, "image_pooling", "logits", and "auxiliary".
    """

    spec: SegmenterSpec
    num_classes: int = 21
    dtype: DTypeLike = jnp.float32
    frozen: tuple[str, ...] = ()
    remat: bool = False
    lowering: Lowering = "auto"

    def setup(self):
        """Makes the modules; Linen calls it."""
        spec = self.spec
        self.backbone = Backbone(
            spec.backbone, self.dtype, self.frozen, self.remat, self.lowering
        )
        nn.share_scope(self, self.backbone)
        conv_bn = functools.partial(
            ConvBN,
            act="relu",
            padding=spec.backbone.padding,
            bn_momentum=spec.bn_momentum,
            bn_epsilon=spec.bn_epsilon,
            kernel_init=KernelInit(spec.backbone.initialization),
            dtype=self.dtype,
            lowering=self.lowering,
        )
        head = spec.head
        if isinstance(head, LRASPPSpec):
            size = divided(spec.padded(spec.resolution), spec.backbone.output_stride)
            self.head = LRASPP(
                head, self.num_classes, conv_bn, self.frozen, size, spec.resizing
            )
        else:
            self.head = ASPP(head, self.num_classes, conv_bn, self.frozen)
        nn.share_scope(self, self.head)
        if spec.auxiliary:
            self.auxiliary = Auxiliary(
                spec.auxiliary, self.num_classes, conv_bn, self.frozen
            )

    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> tuple[SegmentationLogits, Endpoints]:
        """Runs the network.

        Args:
          images: [N, H, W, 3], normalised; H and W may be any, and differ.
          train: use batch statistics, dropout and stochastic depth; `apply` then needs
            `mutable=["batch_stats"]` and an rng "dropout".

        Returns:
          The logits of every pixel of the images, and the maps of `Backbone` but for
          "features", of the images as `_padded` gives them.
        """
        height, width = _size(images)
        images = self._padded(images)
        x, endpoints = self.backbone.run(images, train)
        logits = self.head(value(x), endpoints, train)

        def of_pixels(logits: jax.Array) -> jax.Array:
            enlarged = resize(logits, _size(images), self.spec.resizing)
            return enlarged[:, :height, :width]

        auxiliary = None
        if self.spec.auxiliary:
            auxiliary = of_pixels(self.auxiliary(endpoints, train))
        return SegmentationLogits(of_pixels(logits), auxiliary), endpoints

    @nn.nowrap
    def _padded(self, images: jax.Array) -> jax.Array:
        """The images, with 0, the mean colour, as far as `SegmenterSpec.padded`."""
        bottom, right = (self.spec.padded(size) - size for size in _size(images))
        return jnp.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)))

    def role(self, module_name: str) -> Role:
        """See `HasRoles`: all but the backbone is of segmentation alone."""
        of_backbone = module_name.startswith(("stem", "block", "head_conv"))
        return "backbone" if of_backbone else "head"


class ASPP(nn.Module):
    """One `ASPPSpec`."""

    spec: ASPPSpec
    num_classes: int
    conv_bn: functools.partial[ConvBN]  # with the segmenter's constants filled in
    frozen: tuple[str, ...]

    @nn.compact
    def __call__(self, x: jax.Array, endpoints: Endpoints, train: bool) -> jax.Array:
        """The logits of every pixel of the last map: [N, H, W, classes] float32."""
        del endpoints
        spec = self.spec

        def convolved(x: jax.Array, name: str, **options: Any) -> jax.Array:
            conv = self.conv_bn(spec.filters, name=name, **options)
            return value(conv(x, train and name not in self.frozen))

        branches = [convolved(x, "aspp0")]
        for i, rate in enumerate(spec.rates):
            branches.append(convolved(x, f"aspp{i + 1}", kernel_size=3, dilation=rate))
        pooled = convolved(x.mean((1, 2), keepdims=True), "image_pooling")
        branches.append(jnp.broadcast_to(pooled, branches[0].shape))
        y = convolved(jnp.concatenate(branches, -1), "concat_projection")
        y = nn.Dropout(spec.dropout_rate, deterministic=not train)(y)
        if spec.refined:
            y = convolved(y, "refine", kernel_size=3)
        return _logits(self.num_classes, "logits", self.conv_bn)(y.astype(jnp.float32))


class LRASPP(nn.Module):
    """One `LRASPPSpec`."""

    spec: LRASPPSpec
    num_classes: int
    conv_bn: functools.partial[ConvBN]
    frozen: tuple[str, ...]
    pooled_pixels: int  # height and width of what a mean is of, where there are several
    resizing: Resizing

    @nn.compact
    def __call__(self, x: jax.Array, endpoints: Endpoints, train: bool) -> jax.Array:
        """The logits of every pixel of the finer map: [N, H, W, classes] float32."""
        spec = self.spec
        low_level = endpoints[spec.low_level]
        conv = self.conv_bn(spec.filters, name="aspp0")
        y = value(conv(x, train and "aspp0" not in self.frozen))
        gate = nn.Dense(
            spec.filters,
            use_bias=False,
            kernel_init=self.conv_bn.keywords["kernel_init"],
            dtype=self.conv_bn.keywords["dtype"],
            dot_general=_product(self.conv_bn),
            name="image_pooling",
        )
        gates = ACTIVATIONS[spec.gate](gate(self._means(x)))
        y = y * resize(gates, _size(y), self.resizing)
        y = resize(y, _size(low_level), self.resizing)
        y, low_level = y.astype(jnp.float32), low_level.astype(jnp.float32)
        logits = functools.partial(_logits, self.num_classes, conv_bn=self.conv_bn)
        return logits("logits")(y) + logits("low_level_logits")(low_level)

    @nn.nowrap
    def _means(self, x: jax.Array) -> jax.Array:
        """The means of the map's windows: [N, H, W, C] -> [N, h, w, C]."""
        height, width = (min(size, self.pooled_pixels) for size in _size(x))
        if self.spec.pooling_stride is None or (height, width) == _size(x):
            return x.mean((1, 2), keepdims=True)
        # In float32: thousands of pixels are added up.
        x = x.astype(jnp.float32)
        return nn.avg_pool(x, (height, width), self.spec.pooling_stride)


class Auxiliary(nn.Module):
    """One `AuxiliarySpec`."""

    spec: AuxiliarySpec
    num_classes: int
    conv_bn: functools.partial[ConvBN]
    frozen: tuple[str, ...]

    @nn.compact
    def __call__(self, endpoints: Endpoints, train: bool) -> jax.Array:
        """The logits of every pixel of the map it reads."""
        trains = train and "auxiliary" not in self.frozen
        conv = self.conv_bn(self.spec.channels, kernel_size=3, name="conv")
        y = value(conv(endpoints[self.spec.feature], trains))
        y = nn.Dropout(self.spec.dropout_rate, deterministic=not train)(y)
        return _logits(self.num_classes, "logits", self.conv_bn)(y.astype(jnp.float32))


def _logits(
    num_classes: int, name: str, conv_bn: functools.partial[ConvBN]
) -> nn.Dense:
    """A 1x1 convolution."""
    return nn.Dense(
        num_classes,
        kernel_init=LOGITS_INIT,
        bias_init=ZEROS,
        dot_general=_product(conv_bn),
        name=name,
    )


def _product(conv_bn: functools.partial[ConvBN]) -> Callable[..., jax.Array]:
    """What multiplies a map and a kernel: on a CPU a matrix product is faster.

    LiteRT's converter takes no matrix product of a map, but a convolution.
    """
    is_native = conv_bn.keywords["lowering"] == "native"
    return _convolved if is_native else jax.lax.dot_general


def _convolved(x: jax.Array, kernel: jax.Array, *_, **options: Any) -> jax.Array:
    """As `dot_general` is called for a map: [N, H, W, C] and [C, outputs]."""
    return jax.lax.conv_general_dilated(
        x,
        kernel[None, None],
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        **options,
    )


def _size(x: jax.Array) -> tuple[int, int]:
    return x.shape[1], x.shape[2]
