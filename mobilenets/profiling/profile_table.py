"""Where a network's parameters and multiply-adds are: a row for stem, block and head.

Plain data, no JAX; `tables` prints it.
"""

import dataclasses
import itertools
from collections.abc import Sequence

from mobilenets.networks import complexity
from mobilenets.networks.layers import Layer
from mobilenets.networks.spec import BackboneSpec, HasBackbone, backbone_of

BYTES_OF_A_NUMBER = 4  # float32


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the papers' tables, with its cost."""

    name: str  # the path of its module in `Classifier`, "block3"
    operator: str  # "conv", "inverted residual", "dense", …
    kernel_size: int | None  # of a block: of its depthwise or 3x3 convolution
    stride: int | None
    expansion: float | None  # of a block: that convolution's width over the input's
    se_channels: int | None  # width between the two layers of squeeze-and-excitation
    output: tuple[int, int, int]  # height, width and channels
    parameters: int  # trainable
    madds: int  # for one image
    activation_bytes: int  # of the outputs of all its layers: one image, float32


def rows(spec: BackboneSpec | HasBackbone, num_classes: int = 1000) -> list[Row]:
    """The network from input to logits: `complexity.layers`, block by block.

    Args:
      spec: the network.
      num_classes: width of the logits; 0 leaves them out.

    A max pooling belongs to the stem: its output is the row's. As it has no parameters
    it is no layer, so that its output counts nothing in the memory.
    """
    layers = complexity.layers(spec, num_classes)
    groups = itertools.groupby(layers, lambda layer: layer.name.partition("/")[0])
    return [_row(backbone_of(spec), name, list(group)) for name, group in groups]


def _row(spec: BackboneSpec, name: str, layers: Sequence[Layer]) -> Row:
    cost = {
        "parameters": sum(layer.params for layer in layers),
        "madds": sum(layer.madds for layer in layers),
        "activation_bytes": BYTES_OF_A_NUMBER
        * sum(layer.activations for layer in layers),
    }
    blocks = {f"block{i}": block for i, block in enumerate(spec.blocks)}
    if block := blocks.get(name):
        # Within a block maps only shrink; squeeze-and-excitation has none.
        size = min(layer.output_size for layer in layers if layer.operator != "dense")
        return Row(
            name,
            block.operator,
            block.kernel_size,
            block.stride,
            block.expansion,
            se_channels=block.se.channels if block.se else None,
            output=(size, size, block.out_channels),
            **cost,
        )
    *_, last = layers  # several in the head of a detector
    is_dense = last.operator == "dense"
    pooled = name == "stem" and spec.stem_max_pool
    size = -(-last.output_size // 2) if pooled else last.output_size
    operators = [layer.operator for layer in layers] + ["max pool"] * bool(pooled)
    return Row(
        name,
        ", ".join(operators),
        kernel_size=None if is_dense else max(layer.kernel_size for layer in layers),
        stride=None if is_dense else max(layer.stride for layer in layers),
        expansion=None,
        se_channels=None,
        output=(size, size, last.channels),
        **cost,
    )
