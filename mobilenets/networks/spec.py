"""What a network is, as plain data: no arrays, no randomness, no JAX.

A paper's table becomes a `NetSpec` whose numbers are final: multipliers are applied and
channels are rounded. Everything else reads that one object: the Linen modules, the
counter of multiply-adds, later export and search. What a task changes in a backbone is
a function from spec to spec, such as `with_output_stride`.
"""

import dataclasses
import itertools
import math
import operator
from typing import Literal

from mobilenets.errors import UserError

Activation = Literal["relu", "relu6", "hard_swish", "swish"]
Gate = Literal["sigmoid", "hard_sigmoid"]
Padding = Literal["same", "symmetric"]
# How the kernels start, by whose code says so: see `initialization.py`.
Initialization = Literal["slim", "efficientnet", "moga", "resnet"]


@dataclasses.dataclass(frozen=True)
class SqueezeExciteSpec:
    """Squeeze-and-excitation, Hu et al. 2018, arXiv:1709.01507, Sec. 3."""

    channels: int  # width between the two dense layers, C / r of the paper
    act: Activation  # between the two
    gate: Gate  # by whose value each channel is multiplied


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """[expand 1x1] -> depthwise -> 1x1. No expansion where the widths are equal.

    A "depthwise_separable" block (MobileNetV1) ends with the activation, and its
    squeeze-and-excitation comes last; an "inverted_residual" (MobileNetV2) ends
    linearly, and its squeeze-and-excitation follows the depthwise convolution.
    """

    op: Literal["depthwise_separable", "inverted_residual"]
    in_channels: int
    expanded_channels: int
    out_channels: int
    kernel_size: int  # of the depthwise convolution
    stride: int  # of the depthwise convolution
    act: Activation
    residual: bool = False  # whether the input is added to the output
    se: SqueezeExciteSpec | None = None
    drop_path_rate: float = 0.0  # stochastic depth; only where there is a residual
    dilation: int = 1  # of the depthwise convolution

    @property
    def has_expansion(self) -> bool:
        """Whether a 1x1 convolution widens the input before the depthwise one."""
        return self.expanded_channels != self.in_channels


@dataclasses.dataclass(frozen=True)
class BottleneckSpec:
    """1x1 -> 3x3 -> 1x1, added to the input: ResNet, arXiv:1512.03385, Fig. 5 right.

    The activation follows the first two convolutions and the sum;
    squeeze-and-excitation comes before the sum.
    """

    in_channels: int
    inner_channels: int  # of the 3x3 convolution
    out_channels: int
    stride: int
    stride_in: Literal["1x1", "3x3"]  # the first convolution (v1) or the second (v1.5)
    projection: bool  # whether the shortcut is a 1x1 convolution, not the identity
    act: Activation
    se: SqueezeExciteSpec | None = None
    dilation: int = 1  # of the 3x3 convolution


@dataclasses.dataclass(frozen=True)
class NetSpec:
    """A whole classifier: a stem, blocks, and a head.

    The stem is a convolution, batch norm, activation and, in a ResNet, a 3x3 max
    pooling of stride 2. The head is [1x1 convolution, batch norm, activation] -> mean
    over height and width -> [dense layer, activation] -> dropout -> dense logits; a
    width of 0 leaves out what is in brackets.
    """

    name: str
    resolution: int  # height and width of the input in pixels
    stem_channels: int
    act: Activation  # of stem and head
    blocks: tuple[BlockSpec | BottleneckSpec, ...]
    dropout_rate: float
    bn_momentum: float  # the weight of the old value in the running averages
    bn_epsilon: float
    initialization: Initialization
    padding: Padding = "same"  # "same" as TensorFlow pads, "symmetric" as PyTorch
    stem_kernel_size: int = 3
    stem_stride: int = 2
    stem_max_pool: bool = False
    head_conv_channels: int = 0
    head_dense_channels: int = 0
    head_dense_bias: bool = True

    @property
    def output_stride(self) -> int:
        """Input pixels per pixel of the last feature map, along one side."""
        strides = math.prod(block.stride for block in self.blocks)
        return self.stem_stride * (2 if self.stem_max_pool else 1) * strides

    @property
    def feature_channels(self) -> int:
        """Width of the vector from which the logits are computed."""
        return (
            self.head_dense_channels
            or self.head_conv_channels
            or self.blocks[-1].out_channels
        )


def inverted_residual(
    in_channels: int,
    expanded_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int,
    act: Activation,
    se: SqueezeExciteSpec | None = None,
) -> BlockSpec:
    """An inverted residual, its input added wherever it has the output's shape."""
    return BlockSpec(
        "inverted_residual",
        in_channels,
        expanded_channels,
        out_channels,
        kernel_size,
        stride,
        act,
        residual=stride == 1 and in_channels == out_channels,
        se=se,
    )


def with_squeeze_excite(spec: NetSpec, name: str, reduction: int) -> NetSpec:
    """The network with squeeze-and-excitation on the output of every block.

    Args:
      spec: the network.
      name: of the result.
      reduction: r of arXiv:1709.01507, Sec. 3: the squeezed width is a block's output
        width divided by r, at least 1.
    """

    def squeeze(channels: int) -> SqueezeExciteSpec:
        return SqueezeExciteSpec(max(1, channels // reduction), "relu", "sigmoid")

    blocks = tuple(
        dataclasses.replace(block, se=squeeze(block.out_channels))
        for block in spec.blocks
    )
    return dataclasses.replace(spec, name=name, blocks=blocks)


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


def strides_of_stage(stride: int, repeats: int, depth_multiplier: float) -> list[int]:
    """The stride of each block of a stage: the first has the stage's, the others 1.

    Args:
      stride: of the stage.
      repeats: blocks of the stage before scaling.
      depth_multiplier: scales them, rounded up as in EfficientNet's authors' code.

    >>> strides_of_stage(2, 3, depth_multiplier=1.1)
    [2, 1, 1, 1]
    """
    return [stride] + [1] * (math.ceil(repeats * depth_multiplier) - 1)


def with_output_stride(spec: NetSpec, output_stride: int) -> NetSpec:
    """The same network and weights with finer last maps, by dilated convolutions.

    Strides beyond the wanted output stride become 1, and what follows is dilated by as
    much, so that every filter sees the same pixels as before: atrous convolution as in
    DeepLab, arXiv:1606.00915, Sec. 3.1. The MAdds grow, the parameters stay.

    Args:
      spec: the network.
      output_stride: input pixels per pixel of the last map: 8 or 16 for segmentation.

    Raises:
      UserError: no layer of the network ends at that stride.

    >>> from mobilenets import get_spec
    >>> spec = with_output_stride(get_spec("mobilenet_v2"), 16)
    >>> spec.output_stride, spec.blocks[13].dilation, spec.blocks[14].dilation
    (16, 1, 2)
    """
    strides = [block.stride for block in spec.blocks]
    stem_stride = spec.output_stride // math.prod(strides)
    after = list(itertools.accumulate(strides, operator.mul, initial=stem_stride))
    if output_stride not in after:
        raise UserError(
            f"{spec.name} has no output stride {output_stride}: it must be one of "
            f"{', '.join(map(str, sorted(set(after))))}."
        )
    blocks, dilation = [], 1
    for block, stride in zip(spec.blocks, after[1:], strict=True):
        if stride <= output_stride:
            blocks.append(block)
            continue
        # The spatial filter of most blocks has the stride itself and sees what it saw;
        # that of a ResNet's v1 comes behind the stride.
        comes_behind = isinstance(block, BottleneckSpec) and block.stride_in == "1x1"
        wider = block.dilation * dilation * (block.stride if comes_behind else 1)
        blocks.append(dataclasses.replace(block, stride=1, dilation=wider))
        dilation *= block.stride
    return dataclasses.replace(spec, blocks=tuple(blocks))
