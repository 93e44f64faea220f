"""MobileNetV1, Howard et al. 2017, arXiv:1704.04861."""

from mobilenets.spec import BlockSpec, NetSpec

# Table 1, a row for each pair "Conv dw" and "Conv 1x1". The paper prints stride 2 for
# the last depthwise layer too; its 7x7 output and 569 M multiply-adds need 1.
# fmt: off
TABLE_1 = (
    # s, out      input
    ( 1,   64),  # 112 x 112 x 32
    ( 2,  128),  # 112 x 112 x 64
    ( 1,  128),  #  56 x 56 x 128
    ( 2,  256),  #  56 x 56 x 128
    ( 1,  256),  #  28 x 28 x 256
    ( 2,  512),  #  28 x 28 x 256
    ( 1,  512),  #  14 x 14 x 512
    ( 1,  512),  #  14 x 14 x 512
    ( 1,  512),  #  14 x 14 x 512
    ( 1,  512),  #  14 x 14 x 512
    ( 1,  512),  #  14 x 14 x 512
    ( 2, 1024),  #  14 x 14 x 512
    ( 1, 1024),  #   7 x 7 x 1024
)
# fmt: on


def mobilenet_v1(width_multiplier: float = 1.0, resolution: int = 224) -> NetSpec:
    """MobileNetV1 of one width and input resolution.

    Args:
      width_multiplier: alpha of Sec. 3.3; scales every layer, stem and tail included.
        As in the authors' code the result is cut to an integer of at least 8.
      resolution: input height and width in pixels; rho of Sec. 3.4 is resolution / 224.

    ReLU6 (the paper says ReLU), the batch norm's constants and the dropout are those of
    the authors' code, slim's `mobilenet_v1.py`.
    """

    def scaled(channels: int) -> int:
        return max(8, int(channels * width_multiplier))

    in_channels = stem_channels = scaled(32)
    blocks = []
    for s, out in TABLE_1:
        blocks.append(
            BlockSpec(
                op="depthwise_separable",
                in_channels=in_channels,
                expanded_channels=in_channels,
                out_channels=scaled(out),
                kernel_size=3,
                stride=s,
                act="relu6",
            )
        )
        in_channels = blocks[-1].out_channels
    return NetSpec(
        name="mobilenet_v1",
        resolution=resolution,
        stem_channels=stem_channels,
        stem_stride=2,
        act="relu6",
        blocks=tuple(blocks),
        head_conv_channels=0,
        dropout_rate=0.001,
        bn_momentum=0.9997,
        bn_epsilon=1e-3,
    )
