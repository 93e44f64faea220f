"""What a network is, as plain data: no arrays, no randomness, no JAX.

A paper's table becomes a `ClassifierSpec`: a `BackboneSpec` whose numbers are final
(multipliers are applied and channels are rounded), and a head. Everything else reads
that one object: the Linen modules, the counter of multiply-adds, later export and
search. Another kind of network is another such dataclass that holds a backbone. What a
task changes in a backbone is a function from spec to spec, as `with_output_stride`.
"""

import dataclasses
import itertools
import math
import operator
from typing import Any, Literal, Protocol, TypeVar

from mobilenets.errors import UserError
from mobilenets.networks.layers import Layer, conv, dense, depthwise, divided

Activation = Literal["relu", "relu6", "hard_swish", "swish"]
Gate = Literal["sigmoid", "hard_sigmoid"]
Padding = Literal["same", "symmetric"]
# How the kernels start, by whose code says so: see `nn/initialization.py`.
Initialization = Literal["slim", "efficientnet", "moga", "resnet"]


@dataclasses.dataclass(frozen=True)
class SqueezeExciteSpec:
    """Squeeze-and-excitation, Hu et al. 2018, arXiv:1709.01507, Sec. 3."""

    channels: int  # width between the two dense layers, C / r of the paper
    act: Activation  # between the two
    gate: Gate  # by whose value each channel is multiplied

    def layers(self, name: str, channels: int) -> list[Layer]:
        """Its layers on a map of that many channels; `name` is its module's path."""
        return [
            dense(f"{name}/reduce", channels, self.channels),
            dense(f"{name}/expand", self.channels, channels),
        ]


class Block(Protocol):
    """What a backbone, its counter and its profile must know of a kind of block.

    It is a frozen dataclass; `nn.blocks.BLOCKS` says by which module it is computed.
    """

    @property
    def in_channels(self) -> int:
        """Of its input."""
        ...

    @property
    def out_channels(self) -> int:
        """Of its output."""
        ...

    @property
    def stride(self) -> int:
        """Of the whole block."""
        ...

    @property
    def dilation(self) -> int:
        """Of its spatial filter."""
        ...

    @property
    def se(self) -> SqueezeExciteSpec | None:
        """Its squeeze-and-excitation."""
        ...

    @property
    def operator(self) -> str:
        """What it is called in a table: "inverted residual"."""
        ...

    @property
    def kernel_size(self) -> int:
        """Of its spatial filter."""
        ...

    @property
    def expansion(self) -> float:
        """The width of the map on which that filter works over the input's."""
        ...

    @property
    def filters_behind_stride(self) -> bool:
        """Whether that filter reads a map that the stride has made smaller."""
        ...

    def layers(self, name: str, size: int) -> list[Layer]:
        """Its layers in the order of execution.

        Args:
          name: the path of its module, "block3".
          size: height and width of its input in pixels.
        """
        ...


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

    @property
    def operator(self) -> str:
        """See `Block`."""
        return self.op.replace("_", " ")

    @property
    def expansion(self) -> float:
        """See `Block`."""
        return self.expanded_channels / self.in_channels

    @property
    def filters_behind_stride(self) -> bool:
        """See `Block`: the depthwise convolution has the stride itself."""
        return False

    def layers(self, name: str, size: int) -> list[Layer]:
        """See `Block`."""
        expanded, out = self.expanded_channels, self.out_channels
        separable = self.op == "depthwise_separable"
        result = []
        if self.has_expansion:
            result.append(conv(f"{name}/expand", size, self.in_channels, expanded))
        size = divided(size, self.stride)
        filters = f"{name}/depthwise", size, expanded, self.kernel_size, self.stride
        project = conv(f"{name}/project", size, expanded, out)
        squeezed = out if separable else expanded
        se = self.se.layers(f"{name}/se", squeezed) if self.se else []
        tail = [project, *se] if separable else [*se, project]
        return [*result, depthwise(*filters), *tail]


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

    @property
    def operator(self) -> str:
        """See `Block`."""
        return "bottleneck"

    @property
    def kernel_size(self) -> int:
        """See `Block`."""
        return 3

    @property
    def expansion(self) -> float:
        """See `Block`."""
        return self.inner_channels / self.in_channels

    @property
    def filters_behind_stride(self) -> bool:
        """See `Block`."""
        return self.stride_in == "1x1"

    @property
    def strides(self) -> tuple[int, int]:
        """Of the first 1x1 convolution and of the 3x3."""
        return (self.stride, 1) if self.stride_in == "1x1" else (1, self.stride)

    def layers(self, name: str, size: int) -> list[Layer]:
        """See `Block`."""
        inner, out, (first, second) = (
            self.inner_channels,
            self.out_channels,
            self.strides,
        )
        reduced_size, size = divided(size, first), divided(size, self.stride)
        result = [
            conv(f"{name}/reduce", reduced_size, self.in_channels, inner, 1, first),
            conv(f"{name}/spatial", size, inner, inner, self.kernel_size, second),
            conv(f"{name}/restore", size, inner, out),
        ]
        if self.se:
            result += self.se.layers(f"{name}/se", out)
        if self.projection:
            result.append(
                conv(f"{name}/shortcut", size, self.in_channels, out, 1, self.stride)
            )
        return result


@dataclasses.dataclass(frozen=True)
class BasicSpec:
    """3x3 -> 3x3, added to the input: ResNet, arXiv:1512.03385, Fig. 5 left.

    The activation follows the first convolution and the sum; squeeze-and-excitation
    comes before the sum.
    """

    in_channels: int
    out_channels: int
    stride: int  # of the first convolution
    designed_stride: int  # the same before `with_output_stride`
    projection: bool  # whether the shortcut is a 1x1 convolution, not the identity
    act: Activation
    second_act: Activation | None = (
        None  # after the second convolution; not the paper's
    )
    se: SqueezeExciteSpec | None = None
    dilation: int = 1  # of the first convolution

    @property
    def operator(self) -> str:
        """See `Block`."""
        return "basic block"

    @property
    def kernel_size(self) -> int:
        """See `Block`."""
        return 3

    @property
    def expansion(self) -> float:
        """See `Block`."""
        return self.out_channels / self.in_channels

    @property
    def filters_behind_stride(self) -> bool:
        """See `Block`: the first convolution has the stride itself."""
        return False

    @property
    def second_dilation(self) -> int:
        """Of the second convolution, which is behind the stride."""
        return self.dilation * self.designed_stride // self.stride

    def layers(self, name: str, size: int) -> list[Layer]:
        """See `Block`."""
        inputs, out, stride = self.in_channels, self.out_channels, self.stride
        size = divided(size, stride)
        result = [
            conv(f"{name}/first", size, inputs, out, self.kernel_size, stride),
            conv(f"{name}/second", size, out, out, self.kernel_size),
        ]
        if self.se:
            result += self.se.layers(f"{name}/se", out)
        if self.projection:
            result.append(conv(f"{name}/shortcut", size, inputs, out, 1, stride))
        return result


# Not open, as a `ChoiceSpec` is.
FixedBlock = BlockSpec | BottleneckSpec | BasicSpec


@dataclasses.dataclass(frozen=True)
class ChoiceSpec:
    """A block that is open: one of several, as a `SearchSpace` allows.

    The choices have the same input, output and stride, so that any of them fits.
    """

    choices: tuple[FixedBlock, ...]

    @property
    def in_channels(self) -> int:
        """See `Block`."""
        return self.choices[0].in_channels

    @property
    def out_channels(self) -> int:
        """See `Block`."""
        return self.choices[0].out_channels

    @property
    def stride(self) -> int:
        """See `Block`."""
        return self.choices[0].stride

    @property
    def dilation(self) -> int:
        """See `Block`."""
        return self.choices[0].dilation

    @property
    def se(self) -> SqueezeExciteSpec | None:
        """See `Block`: the choices differ in it."""
        return None

    @property
    def operator(self) -> str:
        """See `Block`."""
        return f"one of {len(self.choices)}"

    @property
    def kernel_size(self) -> int:
        """See `Block`: the largest."""
        return max(choice.kernel_size for choice in self.choices)

    @property
    def expansion(self) -> float:
        """See `Block`: the largest."""
        return max(choice.expansion for choice in self.choices)

    @property
    def filters_behind_stride(self) -> bool:
        """See `Block`."""
        return self.choices[0].filters_behind_stride

    def layers(self, name: str, size: int) -> list[Layer]:
        """See `Block`: those of all choices, "block3/choice5/expand"."""
        return [
            layer
            for i, choice in enumerate(self.choices)
            for layer in choice.layers(f"{name}/choice{i}", size)
        ]


@dataclasses.dataclass(frozen=True)
class BackboneSpec:
    """A stem, blocks and, in most networks, a last 1x1 convolution.

    The stem is a convolution, batch norm, activation and, in a ResNet, a 3x3 max
    pooling with stride 2. The last convolution also has batch norm and activation. A
    width of 0 leaves it out.
    """

    name: str
    resolution: int  # height and width of the input in pixels
    stem_channels: int
    act: Activation  # of stem and head
    blocks: tuple[FixedBlock | ChoiceSpec, ...]
    bn_momentum: float  # the weight of the old value in the running averages
    bn_epsilon: float
    initialization: Initialization
    padding: Padding = "same"  # "same" as TensorFlow pads, "symmetric" as PyTorch
    stem_kernel_size: int = 3
    stem_stride: int = 2
    stem_max_pool: bool | Literal["same"] = False  # "same": whatever `padding` is
    head_conv_channels: int = 0
    kind: Literal["backbone"] = "backbone"  # of network, in files

    @property
    def stem_output_stride(self) -> int:
        """Input pixels per pixel of the first block's input, along one side."""
        return self.stem_stride * (2 if self.stem_max_pool else 1)

    @property
    def output_stride(self) -> int:
        """Input pixels per pixel of the last feature map, along one side."""
        return self.stem_output_stride * math.prod(b.stride for b in self.blocks)

    @property
    def feature_channels(self) -> int:
        """Channels of the last feature map."""
        return self.head_conv_channels or self.blocks[-1].out_channels

    def layers(self, num_classes: int = 0) -> list[Layer]:
        """Every layer that has parameters, in the order of execution.

        Args:
          num_classes: not used, because a backbone has no classes.
        """
        del num_classes
        size = divided(self.resolution, self.stem_stride)
        kernel_size, stride = self.stem_kernel_size, self.stem_stride
        result = [conv("stem", size, 3, self.stem_channels, kernel_size, stride)]
        if self.stem_max_pool:
            size = divided(size, 2)
        for i, block in enumerate(self.blocks):
            result += block.layers(f"block{i}", size)
            size = divided(size, block.stride)
        if self.head_conv_channels:
            inputs = self.blocks[-1].out_channels
            result.append(conv("head_conv", size, inputs, self.head_conv_channels))
        return result


@dataclasses.dataclass(frozen=True)
class ClassifierSpec:
    """A backbone and a head that predicts one or more classes of an image.

    The head is the mean over height and width -> [dense layer, activation] -> dropout
    -> dense logits. A width of 0 leaves out the part in brackets.
    """

    backbone: BackboneSpec
    dropout_rate: float
    head_dense_channels: int = 0
    head_dense_bias: bool = True
    kind: Literal["classifier"] = "classifier"  # of network, in files

    @property
    def name(self) -> str:
        """The name of the backbone."""
        return self.backbone.name

    @property
    def resolution(self) -> int:
        """Height and width of the input in pixels."""
        return self.backbone.resolution

    @property
    def feature_channels(self) -> int:
        """Width of the vector from which the logits are computed."""
        return self.head_dense_channels or self.backbone.feature_channels

    def layers(self, num_classes: int = 1000) -> list[Layer]:
        """Every layer that has parameters, in the order of execution.

        Args:
          num_classes: number of logits; 0 leaves them out.
        """
        result = self.backbone.layers()
        inputs, width = self.backbone.feature_channels, self.head_dense_channels
        if width:
            result.append(dense("head_dense", inputs, width, self.head_dense_bias))
        if num_classes:
            result.append(dense("logits", self.feature_channels, num_classes))
        return result


class NetworkSpec(Protocol):
    """What every kind of network says of itself."""

    @property
    def name(self) -> str:
        """Of the architecture."""
        ...

    @property
    def resolution(self) -> int:
        """Height and width of the input in pixels."""
        ...

    def layers(self, num_classes: int = ...) -> list[Layer]:
        """Every layer that has parameters, in the order of execution."""
        ...


class HasBackbone(NetworkSpec, Protocol):
    """A network with a head for some task: a frozen dataclass."""

    @property
    def backbone(self) -> BackboneSpec:
        """Without the head."""
        ...


Spec = TypeVar("Spec", bound=BackboneSpec | HasBackbone)


def backbone_of(spec: BackboneSpec | HasBackbone) -> BackboneSpec:
    """The backbone of a network, or the backbone itself."""
    return spec if isinstance(spec, BackboneSpec) else spec.backbone


def with_backbone(spec: Spec, **changes: Any) -> Spec:
    """The network with other values in the fields of its backbone.

    >>> from mobilenets import get_spec
    >>> spec = get_spec("mobilenet_v2")
    >>> shorter = with_backbone(spec, blocks=spec.backbone.blocks[:7])
    >>> shorter.backbone.output_stride
    16
    """
    network: Any = spec  # pyright does not know a protocol's implementation
    if isinstance(spec, BackboneSpec):
        return dataclasses.replace(network, **changes)
    backbone = dataclasses.replace(backbone_of(spec), **changes)
    return dataclasses.replace(network, backbone=backbone)


def with_drop_path(spec: Spec, rate: float) -> Spec:
    """The network with stochastic depth, arXiv:1603.09382, in its inverted residuals.

    Args:
      spec: of which blocks that do not add their input stay as they are in effect.
      rate: block i of N, counted from 0, is dropped at i / N of it (EfficientNet's
        code).
    """
    blocks = backbone_of(spec).blocks
    return with_backbone(
        spec,
        blocks=tuple(
            dataclasses.replace(block, drop_path_rate=rate * i / len(blocks))
            if isinstance(block, BlockSpec)
            else block
            for i, block in enumerate(blocks)
        ),
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


def with_squeeze_excite(spec: Spec, name: str, reduction: int) -> Spec:
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
        for block in backbone_of(spec).blocks
    )
    return with_backbone(spec, name=name, blocks=blocks)


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


def with_output_stride(spec: Spec, output_stride: int) -> Spec:
    """The same network and weights with finer last maps, by dilated convolutions.

    Strides beyond the given output stride become 1, and the layers after them are
    dilated by the same factor. Every filter sees the same pixels as before: atrous
    convolution as in DeepLab, arXiv:1606.00915, Sec. 3.1. MAdds grow; parameters do not
    change.

    Args:
      spec: the network, or a backbone.
      output_stride: input pixels per pixel of the last map; 8 or 16 for segmentation.

    Raises:
      UserError: no layer of the network ends at that stride.

    >>> from mobilenets import get_spec
    >>> backbone = with_output_stride(get_spec("mobilenet_v2"), 16).backbone
    >>> backbone.output_stride, [block.dilation for block in backbone.blocks[12:]]
    (16, [1, 1, 2, 2, 2])
    """
    backbone = backbone_of(spec)
    strides = [block.stride for block in backbone.blocks]
    first = backbone.stem_output_stride
    after = list(itertools.accumulate(strides, operator.mul, initial=first))
    if output_stride not in after:
        raise UserError(
            f"{spec.name} has no output stride {output_stride}: it must be one of "
            f"{', '.join(map(str, sorted(set(after))))}."
        )
    blocks, dilation = [], 1
    for block, stride in zip(backbone.blocks, after[1:], strict=True):
        if stride <= output_stride:
            blocks.append(block)
            continue
        own = block.stride if block.filters_behind_stride else 1
        wider = block.dilation * dilation * own
        blocks.append(dataclasses.replace(block, stride=1, dilation=wider))
        dilation *= block.stride
    return with_backbone(spec, blocks=tuple(blocks))
