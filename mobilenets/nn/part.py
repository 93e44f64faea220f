"""`Part`, a piece of a classifier by itself: the stem, a block or the head.

Networks of a search space consist of the same pieces in other orders. A program for
each kind of piece serves all of them.
"""

import dataclasses
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from mobilenets.networks.layers import divided
from mobilenets.networks.search_space import block_sizes
from mobilenets.networks.spec import (
    BackboneSpec,
    BlockSpec,
    ChoiceSpec,
    ClassifierSpec,
    FixedBlock,
    backbone_of,
    with_backbone,
)
from mobilenets.nn.backbone import makers
from mobilenets.nn.batch_norm import value
from mobilenets.nn.blocks import ACTIVATIONS, BLOCKS, max_pool
from mobilenets.nn.classifier import OUTPUT_LAYER
from mobilenets.nn.initialization import ZEROS, KernelInit


@dataclasses.dataclass(frozen=True)
class PartSpec:
    """What a piece is. Equal pieces of different networks are equal.

    Args:
      kind: which piece.
      network: the constants of the network, without its name and its blocks.
      size: height and width of the input in pixels.
      num_classes: of the head.
      block: of the kind "block".
      head_inputs: channels of the head's input.
    """

    kind: Literal["stem", "block", "head"]
    network: ClassifierSpec
    size: int
    num_classes: int = 0
    block: FixedBlock | None = None
    head_inputs: int = 0

    @property
    def in_channels(self) -> int:
        """Of its input."""
        if self.block:
            return self.block.in_channels
        return 3 if self.kind == "stem" else self.head_inputs


def parts(spec: ClassifierSpec, num_classes: int) -> list[PartSpec]:
    """The pieces of a network in the order of execution.

    Args:
      spec: the network, without open blocks.
      num_classes: number of logits.
    """
    backbone = spec.backbone
    constants = with_backbone(spec, name="", resolution=1, blocks=())
    result = [PartSpec("stem", constants, backbone.resolution)]
    sizes = block_sizes(backbone)
    for block, size in zip(backbone.blocks, sizes, strict=True):
        assert not isinstance(block, ChoiceSpec)
        if isinstance(block, BlockSpec):  # a piece has no stochastic depth
            block = dataclasses.replace(block, drop_path_rate=0.0)
        result.append(PartSpec("block", constants, size, block=block))
    last = backbone.blocks[-1]
    size = divided(sizes[-1], last.stride)
    head = PartSpec("head", constants, size, num_classes, head_inputs=last.out_channels)
    return [*result, head]


class Part(nn.Module):
    """One `PartSpec`.

    Its variables are called as those of the whole network, and those of a block
    "block". There is no dropout. In training the running statistics become those of the
    batch, whatever the network's momentum is.
    """

    spec: PartSpec

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """The piece's output: a map, or the logits."""
        spec = self.spec
        backbone: BackboneSpec = backbone_of(spec.network)
        backbone = dataclasses.replace(backbone, bn_momentum=0.0)
        conv_bn, squeeze_excite = makers(backbone)
        if spec.block:
            module = BLOCKS[type(spec.block)]
            made = module(spec.block, conv_bn, squeeze_excite, name="block")
            return value(made(x, train)[0])
        if spec.kind == "stem":
            kernel_size, stride = backbone.stem_kernel_size, backbone.stem_stride
            stem = conv_bn(
                backbone.stem_channels,
                kernel_size,
                stride,
                act=backbone.act,
                name="stem",
            )
            x = value(stem(x, train))
            pool = backbone.stem_max_pool
            padding = "same" if pool == "same" else backbone.padding
            return max_pool(x, padding) if pool else x
        return self._head(x, train)

    @nn.nowrap
    def _head(self, x: jax.Array, train: bool) -> jax.Array:
        """As `Classifier`'s, without dropout."""
        spec, backbone = self.spec.network, backbone_of(self.spec.network)
        backbone = dataclasses.replace(backbone, bn_momentum=0.0)
        initialization = backbone.initialization
        if backbone.head_conv_channels:
            conv_bn, _ = makers(backbone)
            last = conv_bn(
                backbone.head_conv_channels, act=backbone.act, name="head_conv"
            )
            x = value(last(x, train))
        x = x.mean(axis=(1, 2))
        if spec.head_dense_channels:
            dense = nn.Dense(
                spec.head_dense_channels,
                use_bias=spec.head_dense_bias,
                kernel_init=KernelInit(initialization),
                bias_init=ZEROS,
                name="head_dense",
            )
            x = ACTIVATIONS[backbone.act](dense(x))
        logits = nn.Dense(
            self.spec.num_classes,
            kernel_init=KernelInit(initialization, is_logits=True),
            bias_init=ZEROS,
            name=OUTPUT_LAYER,
        )
        return logits(x.astype(jnp.float32))


def variables_of(part: PartSpec, number: int, variables: dict) -> dict:
    """The variables of a piece in those of the whole network.

    Args:
      part: the piece.
      number: its place in `parts`.
      variables: {"params", "batch_stats"} of the network.
    """
    names = {
        "stem": {"stem": "stem"},
        "block": {"block": f"block{number - 1}"},
        "head": {n: n for n in ("head_conv", "head_dense", OUTPUT_LAYER)},
    }[part.kind]
    return {
        collection: {
            own: modules[name] for own, name in names.items() if name in modules
        }
        for collection, modules in variables.items()
    }
