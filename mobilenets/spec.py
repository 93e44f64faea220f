"""What a network is, as plain data: no arrays, no randomness, no JAX.

A paper's table becomes a `NetSpec` whose numbers are final: multipliers are applied and
channels are rounded. Everything else reads that one object: the Linen modules, the
counter of multiply-adds, later export and search.
"""

import dataclasses
import math
from typing import Literal

Activation = Literal["relu6"]
Padding = Literal["same", "symmetric"]


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """One block. Where `expanded_channels == in_channels` there is no expansion.

    A "depthwise_separable" block (MobileNetV1) ends with the activation and has no
    shortcut; an "inverted_residual" (MobileNetV2) ends linearly and has one wherever
    input and output have the same shape.
    """

    op: Literal["depthwise_separable", "inverted_residual"]
    in_channels: int
    expanded_channels: int
    out_channels: int
    kernel_size: int  # of the depthwise convolution
    stride: int  # of the depthwise convolution
    act: Activation

    @property
    def has_expansion(self) -> bool:
        """Whether a 1x1 convolution widens the input before the depthwise one."""
        return self.expanded_channels != self.in_channels

    @property
    def has_residual(self) -> bool:
        """Whether the block's input is added to its output."""
        return (
            self.op == "inverted_residual"
            and self.stride == 1
            and self.in_channels == self.out_channels
        )


@dataclasses.dataclass(frozen=True)
class NetSpec:
    """A whole classifier: a 3x3 stem, blocks, and a head.

    The head is [1x1 convolution, batch norm, activation] -> mean over height and width
    -> dropout -> dense logits; `head_conv_channels=0` leaves out the bracket.
    """

    name: str
    resolution: int  # height and width of the input in pixels
    stem_channels: int
    stem_stride: int
    act: Activation  # of stem and head
    blocks: tuple[BlockSpec, ...]
    head_conv_channels: int
    dropout_rate: float
    bn_momentum: float  # the weight of the old value in the running averages
    bn_epsilon: float
    padding: Padding = "same"  # "same" as TensorFlow pads, "symmetric" as PyTorch

    @property
    def output_stride(self) -> int:
        """Input pixels per pixel of the last feature map, along one side."""
        return self.stem_stride * math.prod(block.stride for block in self.blocks)

    @property
    def feature_channels(self) -> int:
        """Width of the vector from which the logits are computed."""
        return self.head_conv_channels or self.blocks[-1].out_channels


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Rounds to the nearest multiple of `divisor`, but not below 90 % of `channels`.

    Args:
      channels: a channel count after a multiplier; need not be whole.
      divisor: what the result is a multiple of, and its least value.

    The papers only say that channels are rounded; this is the rule of the authors' code
    (`make_divisible` of TensorFlow's slim) and so of the released models.

    >>> make_divisible(32 * 0.75), make_divisible(24 * 0.35), make_divisible(16 * 0.35)
    (24, 8, 8)
    >>> make_divisible(18)  # 16 would be less than 90 %
    24
    """
    rounded = max(divisor, math.floor((channels + divisor / 2) / divisor) * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
