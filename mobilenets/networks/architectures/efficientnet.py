"""EfficientNet, Tan and Le 2019, arXiv:1905.11946, and EfficientNet-Lite."""

import dataclasses

from mobilenets.networks.spec import (
    Activation,
    BackboneSpec,
    ClassifierSpec,
    SqueezeExciteSpec,
    inverted_residual,
    make_divisible,
    strides_of_stage,
    with_drop_path,
)

# Table 1, stages 2 to 8. e: expansion, k: kernel, c: output channels, n: layers, s:
# stride of the first, from the authors' `efficientnet_builder.py` (the paper has none).
# fmt: off
TABLE_1 = (
    # e, k,   c, n, s      input
    ( 1, 3,  16, 1, 1),  # 112 x 112 x 32
    ( 6, 3,  24, 2, 2),  # 112 x 112 x 16
    ( 6, 5,  40, 2, 2),  #  56 x 56 x 24
    ( 6, 3,  80, 3, 2),  #  28 x 28 x 40
    ( 6, 5, 112, 3, 1),  #  14 x 14 x 80
    ( 6, 5, 192, 4, 2),  #  14 x 14 x 112
    ( 6, 3, 320, 1, 1),  #   7 x 7 x 192
)


@dataclasses.dataclass(frozen=True)
class Released:
    """How B0 was scaled to a released network, and the dropout it was trained with."""

    width_multiplier: float
    depth_multiplier: float
    resolution: int
    dropout_rate: float


# The authors' `efficientnet_builder.py` and `lite/efficientnet_lite_builder.py`. They
# are rounded by hand, not powers of Eq. 3; `scaling.implied_phi` tells of which.
RELEASED = {
    "b0": Released(1.0, 1.0, 224, 0.2),
    "b1": Released(1.0, 1.1, 240, 0.2),
    "b2": Released(1.1, 1.2, 260, 0.3),
    "b3": Released(1.2, 1.4, 300, 0.3),
    "b4": Released(1.4, 1.8, 380, 0.4),
    "b5": Released(1.6, 2.2, 456, 0.4),
    "b6": Released(1.8, 2.6, 528, 0.5),
    "b7": Released(2.0, 3.1, 600, 0.5),
}
RELEASED_LITE = {
    "lite0": Released(1.0, 1.0, 224, 0.2),
    "lite1": Released(1.0, 1.1, 240, 0.2),
    "lite2": Released(1.1, 1.2, 260, 0.3),
    "lite3": Released(1.2, 1.4, 280, 0.3),
    "lite4": Released(1.4, 1.8, 300, 0.3),
}
# fmt: on


def efficientnet(
    variant: str,
    width_multiplier: float = 1.0,
    depth_multiplier: float = 1.0,
    resolution: int = 224,
    dropout_rate: float = 0.2,
    drop_path_rate: float = 0.2,
) -> ClassifierSpec:
    """EfficientNet-B0 or -Lite0, scaled in width, depth and resolution.

    Args:
      variant: of the name, "b3" or "lite3". EfficientNet-Lite is for phones: without
        squeeze-and-excitation, with ReLU6; its stem and head keep their 32 and 1280
        channels and its first and last stage their one layer.
      width_multiplier: w; scales every other layer.
      depth_multiplier: d; scales the layers of every other stage, rounded up. (Slim has
        the same word for the width.)
      resolution: input height and width in pixels; r is resolution / 224.
      dropout_rate: before the logits; grows with the network (Sec. 5.2).
      drop_path_rate: of stochastic depth, see `with_drop_path`.

    The squeezed width is a quarter of the block's input, cut to an integer, as in the
    authors' `efficientnet_model.py`.
    """
    lite = variant.startswith("lite")
    act: Activation = "relu6" if lite else "swish"
    in_channels = stem_channels = 32 if lite else make_divisible(32 * width_multiplier)
    blocks = []
    for e, k, c, n, s in TABLE_1:
        is_scaled = not lite or c not in (TABLE_1[0][2], TABLE_1[-1][2])
        for stride in strides_of_stage(s, n, depth_multiplier if is_scaled else 1.0):
            squeeze = SqueezeExciteSpec(max(1, in_channels // 4), act, "sigmoid")
            blocks.append(
                inverted_residual(
                    in_channels,
                    e * in_channels,
                    make_divisible(c * width_multiplier),
                    k,
                    stride,
                    act,
                    se=None if lite else squeeze,
                )
            )
            in_channels = blocks[-1].out_channels
    backbone = BackboneSpec(
        name=f"efficientnet_{variant}",
        resolution=resolution,
        stem_channels=stem_channels,
        act=act,
        blocks=tuple(blocks),
        head_conv_channels=1280 if lite else make_divisible(1280 * width_multiplier),
        bn_momentum=0.99,
        bn_epsilon=1e-3,
        initialization="efficientnet",
    )
    backbone = with_drop_path(backbone, drop_path_rate)
    return ClassifierSpec(backbone, dropout_rate=dropout_rate)
