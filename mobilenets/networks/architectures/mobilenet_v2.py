"""MobileNetV2, Sandler et al. 2018, arXiv:1801.04381."""

from mobilenets.networks.spec import (
    BackboneSpec,
    ClassifierSpec,
    inverted_residual,
    make_divisible,
    strides_of_stage,
)

# Table 2, the rows "bottleneck". t: expansion factor, c: output channels, n: repeats,
# s: stride of the first repeat; the others have stride 1.
# fmt: off
TABLE_2 = (
    # t,   c, n, s      input
    ( 1,  16, 1, 1),  # 112 x 112 x 32
    ( 6,  24, 2, 2),  # 112 x 112 x 16
    ( 6,  32, 3, 2),  #  56 x 56 x 24
    ( 6,  64, 4, 2),  #  28 x 28 x 32
    ( 6,  96, 3, 1),  #  14 x 14 x 64
    ( 6, 160, 3, 2),  #  14 x 14 x 96
    ( 6, 320, 1, 1),  #   7 x 7 x 160
)
# fmt: on


def mobilenet_v2(
    width_multiplier: float = 1.0,
    resolution: int = 224,
    depth_multiplier: float = 1.0,
) -> ClassifierSpec:
    """MobileNetV2 of one width and input resolution.

    Args:
      width_multiplier: scales every layer; below 1 the last convolution keeps its 1280
        channels (Sec. 4, "Trade-off hyper parameters").
      resolution: input height and width in pixels; the paper uses 96 to 224.
      depth_multiplier: scales n. Not of this paper: EfficientNet, arXiv:1905.11946,
        Table 3.

    The batch norm's constants are those of the authors' code, slim's `mobilenet.py`.
    """
    in_channels = stem_channels = make_divisible(32 * width_multiplier)
    blocks = []
    for t, c, n, s in TABLE_2:
        out_channels = make_divisible(c * width_multiplier)
        for stride in strides_of_stage(s, n, depth_multiplier):
            blocks.append(
                inverted_residual(
                    in_channels,
                    t * in_channels,
                    out_channels,
                    kernel_size=3,
                    stride=stride,
                    act="relu6",
                )
            )
            in_channels = out_channels
    backbone = BackboneSpec(
        name="mobilenet_v2",
        resolution=resolution,
        stem_channels=stem_channels,
        act="relu6",
        blocks=tuple(blocks),
        head_conv_channels=make_divisible(1280 * max(1.0, width_multiplier)),
        bn_momentum=0.997,
        bn_epsilon=1e-3,
        initialization="slim",
    )
    return ClassifierSpec(backbone, dropout_rate=0.2)
