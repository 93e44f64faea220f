"""MnasNet, Tan et al. 2019, arXiv:1807.11626."""

from typing import Literal

from mobilenets.networks.spec import (
    BackboneSpec,
    ClassifierSpec,
    SqueezeExciteSpec,
    inverted_residual,
    make_divisible,
    strides_of_stage,
)

# Figure 7 and the authors' `mnasnet_models.py`. k: kernel, e: expansion, c: output
# channels, n: repeats, s: stride of the first repeat, SE: squeeze-and-excitation.
# fmt: off
TABLES = {
    "a1": (
        # k, e,   c, n, s, SE      input
        ( 3, 1,  16, 1, 1, 0),  # 112 x 112 x 32
        ( 3, 6,  24, 2, 2, 0),  # 112 x 112 x 16
        ( 5, 3,  40, 3, 2, 1),  #  56 x 56 x 24
        ( 3, 6,  80, 4, 2, 0),  #  28 x 28 x 40
        ( 3, 6, 112, 2, 1, 1),  #  14 x 14 x 80
        ( 5, 6, 160, 3, 2, 1),  #  14 x 14 x 112
        ( 3, 6, 320, 1, 1, 0),  #   7 x 7 x 160
    ),
    "b1": (
        # k, e,   c, n, s, SE      input
        ( 3, 1,  16, 1, 1, 0),  # 112 x 112 x 32
        ( 3, 3,  24, 3, 2, 0),  # 112 x 112 x 16
        ( 5, 3,  40, 3, 2, 0),  #  56 x 56 x 24
        ( 5, 6,  80, 3, 2, 0),  #  28 x 28 x 40
        ( 3, 6,  96, 2, 1, 0),  #  14 x 14 x 80
        ( 5, 6, 192, 4, 2, 0),  #  14 x 14 x 96
        ( 3, 6, 320, 1, 1, 0),  #   7 x 7 x 192
    ),
}
# fmt: on


def mnasnet(
    variant: Literal["a1", "b1"], width_multiplier: float = 1.0, resolution: int = 224
) -> ClassifierSpec:
    """MnasNet-A1 or -B1, the same search with and without squeeze-and-excitation.

    Args:
      variant: which of the two.
      width_multiplier: scales every layer but the last convolution, of 1280 channels.
      resolution: input height and width in pixels.

    The squeezed width is a quarter of the block's input, cut to an integer, as in the
    authors' code; so are the constants of the batch norm.
    """
    in_channels = stem_channels = make_divisible(32 * width_multiplier)
    blocks = []
    for k, e, c, n, s, se in TABLES[variant]:
        for stride in strides_of_stage(s, n, depth_multiplier=1.0):
            squeeze = SqueezeExciteSpec(max(1, in_channels // 4), "relu", "sigmoid")
            blocks.append(
                inverted_residual(
                    in_channels,
                    e * in_channels,
                    make_divisible(c * width_multiplier),
                    k,
                    stride,
                    act="relu",
                    se=squeeze if se else None,
                )
            )
            in_channels = blocks[-1].out_channels
    backbone = BackboneSpec(
        name=f"mnasnet_{variant}",
        resolution=resolution,
        stem_channels=stem_channels,
        act="relu",
        blocks=tuple(blocks),
        head_conv_channels=1280,
        bn_momentum=0.99,
        bn_epsilon=1e-3,
        initialization="efficientnet",
    )
    return ClassifierSpec(backbone, dropout_rate=0.2)
