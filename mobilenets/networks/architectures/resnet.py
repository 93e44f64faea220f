"""ResNet, He et al. 2016, arXiv:1512.03385; SE-ResNet, Hu et al. 2018, 1709.01507."""

from typing import Literal

from mobilenets.networks.spec import (
    BackboneSpec,
    BasicSpec,
    BottleneckSpec,
    ClassifierSpec,
    make_divisible,
    strides_of_stage,
    with_backbone,
    with_squeeze_excite,
)

# Table 1, conv2_x to conv5_x: the blocks of each, by the number of layers.
REPEATS_OF_BASIC = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
REPEATS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

Version = Literal["v1", "v1.5"]


def resnet(
    layers: Literal[50, 101, 152],
    width_multiplier: float = 1.0,
    resolution: int = 224,
    depth_multiplier: float = 1.0,
    version: Version = "v1.5",
) -> ClassifierSpec:
    """ResNet-50, -101 or -152.

    Args:
      layers: which of the three.
      width_multiplier: scales every layer. Not of this paper, nor is the next but one:
        EfficientNet, arXiv:1905.11946, Table 3.
      resolution: input height and width in pixels.
      depth_multiplier: scales the blocks of each stage, rounded up.
      version: "v1", the paper's, has the stride of a stage in the first 1x1
        convolution; "v1.5", the usual one today, in the 3x3 (torchvision, the TPU
        models).

    The constants of the batch norm are those of torchvision and of the TPU models, the
    padding torchvision's.
    """
    in_channels = stem_channels = make_divisible(64 * width_multiplier)
    blocks = []
    for stage, n in enumerate(REPEATS[layers]):
        inner_channels = make_divisible(64 * 2**stage * width_multiplier)
        for i, stride in enumerate(
            strides_of_stage(2 if stage else 1, n, depth_multiplier)
        ):
            blocks.append(
                BottleneckSpec(
                    in_channels,
                    inner_channels,
                    out_channels=4 * inner_channels,
                    stride=stride,
                    stride_in="1x1" if version == "v1" else "3x3",
                    projection=i == 0,
                    act="relu",
                )
            )
            in_channels = 4 * inner_channels
    backbone = BackboneSpec(
        name=f"resnet{layers}",
        resolution=resolution,
        stem_channels=stem_channels,
        stem_kernel_size=7,
        stem_max_pool=True,
        act="relu",
        blocks=tuple(blocks),
        bn_momentum=0.9,
        bn_epsilon=1e-5,
        initialization="resnet",
        padding="symmetric",
    )
    return ClassifierSpec(backbone, dropout_rate=0.0)


def se_resnet_of_basic(
    layers: Literal[18, 34], resolution: int = 224, reduction: int = 16
) -> ClassifierSpec:
    """SE-ResNet-18 or -34, whose blocks have two 3x3 convolutions.

    The papers do not evaluate them with squeeze-and-excitation, so they have no name in
    `ARCHITECTURES`. They are as timm trained them: an activation follows the second
    convolution, too.

    Args:
      layers: which of the two.
      resolution: as `resnet`.
      reduction: see `with_squeeze_excite`.
    """
    blocks, in_channels = [], 64
    for stage, n in enumerate(REPEATS_OF_BASIC[layers]):
        out_channels = 64 * 2**stage
        for stride in strides_of_stage(2 if stage else 1, n, depth_multiplier=1.0):
            block = BasicSpec(
                in_channels,
                out_channels,
                stride,
                designed_stride=stride,
                projection=stride > 1 or in_channels != out_channels,
                act="relu",
                second_act="relu",
            )
            blocks.append(block)
            in_channels = out_channels
    spec = with_backbone(resnet(50, resolution=resolution), blocks=tuple(blocks))
    return with_squeeze_excite(spec, f"se_resnet{layers}", reduction)


def se_resnet(
    layers: Literal[50, 101, 152],
    width_multiplier: float = 1.0,
    resolution: int = 224,
    version: Version = "v1",
    reduction: int = 16,
) -> ClassifierSpec:
    """SE-ResNet-50, -101 or -152: a `resnet` with squeeze-and-excitation in each block.

    Args:
      layers: as `resnet`.
      width_multiplier: as `resnet`.
      resolution: as `resnet`.
      version: as `resnet`; the paper's models are v1.
      reduction: see `with_squeeze_excite`; Table 10 has 4 to 32.
    """
    spec = resnet(layers, width_multiplier, resolution, version=version)
    return with_squeeze_excite(spec, f"se_resnet{layers}", reduction)
