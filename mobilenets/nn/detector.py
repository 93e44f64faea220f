"""`Detector`, the module that turns a `DetectorSpec` into a network."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mobilenets.networks.detector import (
    DetectorSpec,
    ExtraLayerSpec,
    PredictorSpec,
    outputs_of_anchor,
)
from mobilenets.nn.backbone import Backbone, Endpoints
from mobilenets.nn.batch_norm import value
from mobilenets.nn.blocks import ConvBN
from mobilenets.nn.initialization import ZEROS, Constant, Draw
from mobilenets.nn.lowering import Lowering
from mobilenets.nn.roles import Role

# Of all kernels of TensorFlow's and torchvision's heads.
KERNEL_DEVIATION = 0.03


class RawDetections(NamedTuple):
    """What a detector says of every anchor, in the order of `anchor_boxes`."""

    box_codes: jax.Array  # [N, anchors, 4] float32, see `detection.boxes.decode`
    class_logits: jax.Array  # [N, anchors, 1 + classes] float32, the background first


class Detector(nn.Module):
    """A backbone, extra layers and predictors.

    Args:
      spec: the architecture.
      num_classes: of objects, without the background.
      dtype: the type of the computation. Parameters, statistics and outputs are
        float32.
      frozen: see `Backbone`.
      remat: see `Backbone`.
      lowering: see `Backbone`.

    The parameters of the backbone are on the same level as those of the head: "extra0",
    …, and for each feature map "box_predictor0", … and "class_predictor0", ….
    """

    spec: DetectorSpec
    num_classes: int = 90
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
            act=spec.act,
            padding=spec.backbone.padding,
            bn_momentum=spec.bn_momentum,
            bn_epsilon=spec.bn_epsilon,
            dtype=self.dtype,
            lowering=self.lowering,
        )
        extra_init = Draw("truncated_normal", KERNEL_DEVIATION)
        kernel_init = Draw(spec.predictor.initialization, KERNEL_DEVIATION)
        self.extras = [
            ExtraLayer(
                extra,
                functools.partial(conv_bn, kernel_init=extra_init),
                name=f"extra{i}",
            )
            for i, extra in enumerate(spec.extras)
        ]
        biases = {"box": ZEROS, "class": Constant(spec.predictor.class_bias)}
        self.predictors = {
            kind: [
                Predictor(
                    spec.predictor,
                    numbers,
                    len(anchors),
                    conv_bn,
                    kernel_init,
                    biases[kind],
                    name=f"{kind}_predictor{i}",
                )
                for i, anchors in enumerate(spec.anchors)
            ]
            for kind, numbers in outputs_of_anchor(self.num_classes).items()
        }

    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> tuple[RawDetections, Endpoints]:
        """Runs the network.

        Args:
          images: [N, H, W, 3], normalised. With other H and W than the spec's
            resolution there are other anchors.
          train: use batch statistics and stochastic depth; `apply` then needs
            `mutable=["batch_stats"]` and, with stochastic depth, an rng "dropout".

        Returns:
          The outputs for each anchor, and the maps of `Backbone` but for "features".
        """
        _, endpoints = self.backbone.run(images, train)
        maps = [endpoints[name] for name in self.spec.features]
        for extra in self.extras:
            maps.append(extra(maps[-1], train))

        def predict(predictors: Sequence[Predictor]) -> jax.Array:
            outputs = [p(x, train) for p, x in zip(predictors, maps, strict=True)]
            return jnp.concatenate(outputs, axis=1)

        raw = RawDetections(*(predict(self.predictors[k]) for k in ("box", "class")))
        return raw, endpoints

    def role(self, module_name: str) -> Role:
        """See `HasRoles`: all but the backbone is of detection alone."""
        head = ("extra", "box_predictor", "class_predictor")
        return "head" if module_name.startswith(head) else "backbone"


class ExtraLayer(nn.Module):
    """One `ExtraLayerSpec`."""

    spec: ExtraLayerSpec
    conv_bn: Callable[..., ConvBN]  # with the detector's constants filled in

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[N, H, W, C] -> [N, ceil(H / 2), ceil(W / 2), out_channels]."""
        inner, out = self.spec.inner_channels, self.spec.out_channels
        conv_bn = self.conv_bn
        y = conv_bn(inner, name="reduce")(x, train)
        if not self.spec.separable:
            options = {"kernel_size": 3, "stride": 2}
            return value(conv_bn(out, **options, name="spatial")(y, train))
        options = {"kernel_size": 3, "stride": 2, "depthwise": True}
        y = conv_bn(inner, **options, name="depthwise")(y, train)
        return value(conv_bn(out, name="project")(y, train))


class Predictor(nn.Module):
    """One `PredictorSpec`: the numbers of every anchor on a map."""

    spec: PredictorSpec
    numbers: int  # for an anchor
    anchors: int  # of a pixel
    conv_bn: Callable[..., ConvBN]
    kernel_init: nn.initializers.Initializer
    bias_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[N, H, W, C] -> [N, H * W * anchors, numbers] float32."""
        spec, kernel_size, batch = self.spec, self.spec.kernel_size, x.shape[0]
        outputs = self.anchors * self.numbers
        if spec.separable:
            x = value(
                self.conv_bn(
                    x.shape[-1],
                    kernel_size,
                    depthwise=True,
                    kernel_init=self.kernel_init,
                    name="depthwise",
                )(x, train)
            )
        if spec.separable or kernel_size == 1:
            # A 1x1 convolution: on a CPU a matrix product is faster. It is of pixels,
            # since LiteRT's converter fails on a map of one pixel.
            x = x.reshape(-1, x.shape[-1])
            output = nn.Dense(
                outputs,
                kernel_init=self.kernel_init,
                bias_init=self.bias_init,
                name="output",
            )
        else:
            output = nn.Conv(
                outputs,
                (kernel_size, kernel_size),
                kernel_init=self.kernel_init,
                bias_init=self.bias_init,
                name="output",
            )
        y = output(x.astype(jnp.float32))
        return y.reshape(batch, -1, self.numbers)
