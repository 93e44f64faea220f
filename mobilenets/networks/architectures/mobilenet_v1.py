"""MobileNetV1, Howard et al. 2017, arXiv:1704.04861, and SE-MobileNet."""

from typing import Literal

from mobilenets.networks.spec import (
    BackboneSpec,
    BlockSpec,
    ClassifierSpec,
    make_divisible,
    strides_of_stage,
    with_squeeze_excite,
)

# Table 1: a pair "Conv dw" and "Conv 1x1" is a block, and blocks of one width are a
# stage of n blocks here. The paper prints stride 2 for the last depthwise layer too;
# its 7x7 output and 569 M multiply-adds need 1.
# fmt: off
TABLE_1 = (
    #  c, n, s      input
    (  64, 1, 1),  # 112 x 112 x 32
    ( 128, 2, 2),  # 112 x 112 x 64
    ( 256, 2, 2),  #  56 x 56 x 128
    ( 512, 6, 2),  #  28 x 28 x 256
    (1024, 2, 2),  #  14 x 14 x 512
)
# fmt: on


def mobilenet_v1(
    width_multiplier: float = 1.0,
    resolution: int = 224,
    depth_multiplier: float = 1.0,
    rounding: Literal["floor", "make_divisible"] = "floor",
) -> ClassifierSpec:
    """MobileNetV1 of one width and input resolution.

    Args:
      width_multiplier: alpha of Sec. 3.3; scales every layer, stem and tail included.
      resolution: input height and width in pixels; rho of Sec. 3.4 is resolution / 224.
      depth_multiplier: scales the number of blocks of each width. Not of this paper:
        EfficientNet, arXiv:1905.11946, Table 3.
      rounding: of the scaled widths: cut to an integer of at least 8 as in the authors'
        code, or to multiples of 8 as in EfficientNet's Table 3.

    ReLU6 (the paper says ReLU), the batch norm's constants and the dropout are those of
    the authors' code, slim's `mobilenet_v1.py`.
    """

    def scaled(channels: int) -> int:
        if rounding == "make_divisible":
            return make_divisible(channels * width_multiplier)
        return max(8, int(channels * width_multiplier))

    in_channels = stem_channels = scaled(32)
    blocks = []
    for c, n, s in TABLE_1:
        for stride in strides_of_stage(s, n, depth_multiplier):
            blocks.append(
                BlockSpec(
                    op="depthwise_separable",
                    in_channels=in_channels,
                    expanded_channels=in_channels,
                    out_channels=scaled(c),
                    kernel_size=3,
                    stride=stride,
                    act="relu6",
                )
            )
            in_channels = blocks[-1].out_channels
    backbone = BackboneSpec(
        name="mobilenet_v1",
        resolution=resolution,
        stem_channels=stem_channels,
        act="relu6",
        blocks=tuple(blocks),
        bn_momentum=0.9997,
        bn_epsilon=1e-3,
        initialization="slim",
    )
    return ClassifierSpec(backbone, dropout_rate=0.001)


def se_mobilenet_v1(
    width_multiplier: float = 1.0, resolution: int = 224, reduction: int = 16
) -> ClassifierSpec:
    """MobileNetV1 with squeeze-and-excitation, Hu et al. 2018, arXiv:1709.01507.

    Args:
      width_multiplier: as `mobilenet_v1`.
      resolution: as `mobilenet_v1`.
      reduction: see `with_squeeze_excite`.

    The paper (Table 3) gives only the cost: 4.7 million parameters, 572 million
    multiply-adds. Squeeze-and-excitation with r = 16 behind each of the 13 pointwise
    convolutions has it; that it follows their activation is ours.
    """
    spec = mobilenet_v1(width_multiplier, resolution)
    return with_squeeze_excite(spec, "se_mobilenet_v1", reduction)
