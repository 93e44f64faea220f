"""MobileNetV3, Howard et al. 2019, arXiv:1905.02244 (version 5)."""

import dataclasses
from typing import Literal, cast

from mobilenets.errors import UserError
from mobilenets.networks.spec import (
    Activation,
    BackboneSpec,
    BlockSpec,
    ClassifierSpec,
    Spec,
    SqueezeExciteSpec,
    backbone_of,
    inverted_residual,
    make_divisible,
    with_backbone,
)

RE: Activation = "relu"
HS: Activation = "hard_swish"

# Tables 1 and 2, the rows "bneck". k: kernel, exp: width of the expansion, out: output
# channels, SE: squeeze-and-excitation, NL: activation, s: stride. Table 2 also marks
# the last 1x1 convolution with SE; no released model has it there.
# fmt: off
TABLE_1_LARGE = (
    # k, exp, out, SE, NL, s      input
    ( 3,  16,  16,  0, RE, 1),  # 112 x 112 x 16
    ( 3,  64,  24,  0, RE, 2),  # 112 x 112 x 16
    ( 3,  72,  24,  0, RE, 1),  #  56 x 56 x 24
    ( 5,  72,  40,  1, RE, 2),  #  56 x 56 x 24
    ( 5, 120,  40,  1, RE, 1),  #  28 x 28 x 40
    ( 5, 120,  40,  1, RE, 1),  #  28 x 28 x 40
    ( 3, 240,  80,  0, HS, 2),  #  28 x 28 x 40
    ( 3, 200,  80,  0, HS, 1),  #  14 x 14 x 80
    ( 3, 184,  80,  0, HS, 1),  #  14 x 14 x 80
    ( 3, 184,  80,  0, HS, 1),  #  14 x 14 x 80
    ( 3, 480, 112,  1, HS, 1),  #  14 x 14 x 80
    ( 3, 672, 112,  1, HS, 1),  #  14 x 14 x 112
    ( 5, 672, 160,  1, HS, 2),  #  14 x 14 x 112
    ( 5, 960, 160,  1, HS, 1),  #   7 x 7 x 160
    ( 5, 960, 160,  1, HS, 1),  #   7 x 7 x 160
)
TABLE_2_SMALL = (
    # k, exp, out, SE, NL, s      input
    ( 3,  16,  16,  1, RE, 2),  # 112 x 112 x 16
    ( 3,  72,  24,  0, RE, 2),  #  56 x 56 x 16
    ( 3,  88,  24,  0, RE, 1),  #  28 x 28 x 24
    ( 5,  96,  40,  1, HS, 2),  #  28 x 28 x 24
    ( 5, 240,  40,  1, HS, 1),  #  14 x 14 x 40
    ( 5, 240,  40,  1, HS, 1),  #  14 x 14 x 40
    ( 5, 120,  48,  1, HS, 1),  #  14 x 14 x 40
    ( 5, 144,  48,  1, HS, 1),  #  14 x 14 x 48
    ( 5, 288,  96,  1, HS, 2),  #  14 x 14 x 48
    ( 5, 576,  96,  1, HS, 1),  #   7 x 7 x 96
    ( 5, 576,  96,  1, HS, 1),  #   7 x 7 x 96
)
# fmt: on

# The table and the widths of the tail's two 1x1 convolutions.
VARIANTS = {"large": (TABLE_1_LARGE, 960, 1280), "small": (TABLE_2_SMALL, 576, 1024)}


def mobilenet_v3(
    variant: Literal["large", "small"],
    kind: Literal["standard", "minimalistic"],
    width_multiplier: float = 1.0,
    resolution: int = 224,
) -> ClassifierSpec:
    """MobileNetV3-Large or -Small of one width and input resolution.

    Args:
      variant: which of the two.
      kind: "minimalistic" has no squeeze-and-excitation, ReLU everywhere and no 5x5
        kernels, for hardware that is slow at those (slim's `mobilenet_v3.py`).
      width_multiplier: scales every layer. Below 1 the last dense layer keeps its width
        (as the released 0.75 models). Above 1 it is scaled, as in Keras; the paper's
        7.5 million parameters of Large 1.25 fit a layer that keeps its 1280.
      resolution: input height and width in pixels; the paper uses 96 to 256.

    The tables leave open how `exp` is scaled: as a ratio to the unscaled input, applied
    to the scaled input (slim). The momentum of the batch norm is the paper's (Sec.
    6.1.1), its epsilon slim's, where the momentum is 0.997.
    """
    table, tail_channels, last_channels = VARIANTS[variant]
    minimalistic = kind == "minimalistic"
    unscaled_in = 16
    in_channels = stem_channels = make_divisible(unscaled_in * width_multiplier)
    blocks = []
    for k, exp, out, se, nl, s in table:
        expanded = make_divisible(in_channels * exp / unscaled_in)
        blocks.append(
            inverted_residual(
                in_channels,
                expanded,
                make_divisible(out * width_multiplier),
                kernel_size=3 if minimalistic else k,
                stride=s,
                act=RE if minimalistic else nl,
                se=_squeeze_excite(expanded) if se and not minimalistic else None,
            )
        )
        unscaled_in, in_channels = out, blocks[-1].out_channels
    backbone = BackboneSpec(
        name=f"mobilenet_v3_{variant}" + ("_minimalistic" if minimalistic else ""),
        resolution=resolution,
        stem_channels=stem_channels,
        act=RE if minimalistic else HS,
        blocks=tuple(blocks),
        head_conv_channels=make_divisible(tail_channels * width_multiplier),
        bn_momentum=0.99,
        bn_epsilon=1e-3,
        initialization="slim",
    )
    return ClassifierSpec(
        backbone,
        head_dense_channels=make_divisible(last_channels * max(1.0, width_multiplier)),
        dropout_rate=0.2,
    )


def halve_last_stage(spec: Spec) -> Spec:
    """A MobileNetV3 with half the channels after its last stride, for detection.

    The paper's variant for SSDLite (Sec. 6.3): the outputs of all blocks from the last
    stride on and of the convolution behind them are halved; the expansion from which
    that stride starts, SSDLite's first feature map, is not.

    Raises:
      UserError: the network is no MobileNetV3.
    """
    if not spec.name.startswith("mobilenet_v3"):
        raise UserError(
            f"{spec.name} has no variant with half its last stage: it must be a "
            "MobileNetV3, whose paper defines it."
        )
    backbone = backbone_of(spec)
    blocks = cast(tuple[BlockSpec, ...], backbone.blocks)
    # Not by its stride, which `with_output_stride` may have taken.
    first = [block.out_channels for block in blocks].index(blocks[-1].out_channels)
    halved = [*blocks[:first]]
    for block in blocks[first:]:
        halved.append(_halve(block, halved[-1].out_channels))
    return with_backbone(
        spec,
        blocks=tuple(halved),
        head_conv_channels=make_divisible(backbone.head_conv_channels / 2),
    )


def reduce_last_block(backbone: BackboneSpec) -> BackboneSpec:
    """A MobileNet with half the channels after its last stride, for segmentation.

    The paper's "RF2" (Table 7): half the filters of the last block. As in
    `halve_last_stage`, the outputs from the last stride on are halved, and so is the
    convolution behind them. In a MobileNetV3 the expansion from which that stride
    starts is halved as well; so says the number of parameters in the paper's table, and
    that in MobileNetV2 it is not.

    Args:
      backbone: before `with_output_stride`.

    Raises:
      UserError: the network is no MobileNet.
    """
    if not backbone.name.startswith("mobilenet_v"):
        raise UserError(
            f"{backbone.name} has no variant with half its last block: it must be a "
            "MobileNetV1, V2 or V3."
        )
    strided = max(i for i, block in enumerate(backbone.blocks) if block.stride > 1)
    blocks = cast(tuple[BlockSpec, ...], backbone.blocks)
    first = blocks[strided]
    reduced = [*blocks[:strided], _halve(first, first.in_channels)]
    if backbone.name.startswith("mobilenet_v3"):
        expanded = make_divisible(first.expanded_channels / 2)
        reduced[-1] = _expanded_to(reduced[-1], expanded)
    for block in blocks[strided + 1 :]:
        reduced.append(_halve(block, reduced[-1].out_channels))
    return dataclasses.replace(
        backbone,
        blocks=tuple(reduced),
        head_conv_channels=make_divisible(backbone.head_conv_channels / 2)
        if backbone.head_conv_channels
        else 0,
    )


def _halve(block: BlockSpec, in_channels: int) -> BlockSpec:
    """The block with half the outputs and its own ratio of expansion."""
    expanded = make_divisible(in_channels * block.expanded_channels / block.in_channels)
    halved = dataclasses.replace(
        block,
        in_channels=in_channels,
        out_channels=make_divisible(block.out_channels / 2),
    )
    return _expanded_to(halved, expanded)


def _expanded_to(block: BlockSpec, expanded: int) -> BlockSpec:
    se = _squeeze_excite(expanded) if block.se else None
    return dataclasses.replace(block, expanded_channels=expanded, se=se)


def _squeeze_excite(expanded_channels: int) -> SqueezeExciteSpec:
    """Sec. 5.3: a quarter of the expansion's width, rounded in the released models."""
    return SqueezeExciteSpec(make_divisible(expanded_channels / 4), RE, "hard_sigmoid")
