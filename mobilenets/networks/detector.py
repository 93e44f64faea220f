"""`DetectorSpec`: a single-shot detector as plain data.

SSD, Liu et al. 2016, arXiv:1512.02325, and SSDLite, MobileNetV2, arXiv:1801.04381,
Sec. 6.2. Like every spec it has final numbers: widths are scaled, and anchors are
heights and widths. `architectures.ssd` has the published ones.
"""

import dataclasses
from typing import Literal

from mobilenets.errors import UserError
from mobilenets.networks.feature_maps import last_map, size_and_channels
from mobilenets.networks.layers import (
    Layer,
    biased_conv,
    conv,
    depthwise,
    divided,
)
from mobilenets.networks.spec import Activation, BackboneSpec

BOX_CODES = 4  # numbers that a predictor gives for the box of an anchor

Anchor = tuple[float, float]  # height and width as fractions of the image's


@dataclasses.dataclass(frozen=True)
class ExtraLayerSpec:
    """1x1 -> 3x3 with stride 2, a feature map beyond those of the backbone.

    Separable, the 3x3 is depthwise and a second 1x1 follows. Batch norm and activation
    follow every convolution.
    """

    inner_channels: int  # of the first 1x1
    out_channels: int
    separable: bool

    def layers(self, name: str, size: int, in_channels: int) -> list[Layer]:
        """Its layers in the order of execution.

        Args:
          name: the path of its module.
          size: height and width of its input in pixels.
          in_channels: of its input.
        """
        inner, out = self.inner_channels, self.out_channels
        result = [conv(f"{name}/reduce", size, in_channels, inner)]
        size = divided(size, 2)
        if not self.separable:
            return [*result, conv(f"{name}/spatial", size, inner, out, 3, 2)]
        return [
            *result,
            depthwise(f"{name}/depthwise", size, inner, 3, 2),
            conv(f"{name}/project", size, inner, out),
        ]


@dataclasses.dataclass(frozen=True)
class PredictorSpec:
    """A convolution with bias from a feature map to the numbers of its anchors.

    Separable, a depthwise 3x3 with batch norm and activation precedes a 1x1.
    """

    kernel_size: Literal[1, 3]
    separable: bool
    # Of its kernels, with standard deviation 0.03.
    initialization: Literal["truncated_normal", "normal"] = "truncated_normal"
    # At which the bias of the class logits starts. With focal loss it makes the objects
    # rare at first: arXiv:1708.02002, Sec. 4.1 and 3.3.
    class_bias: float = 0.0

    def layers(self, name: str, size: int, inputs: int, outputs: int) -> list[Layer]:
        """Its layers in the order of execution.

        Args:
          name: the path of its module.
          size: height and width of its map in pixels.
          inputs: channels of the map.
          outputs: numbers for a pixel.
        """
        output = f"{name}/output"
        if not self.separable:
            return [biased_conv(output, size, inputs, outputs, self.kernel_size)]
        return [
            depthwise(f"{name}/depthwise", size, inputs, self.kernel_size),
            biased_conv(output, size, inputs, outputs),
        ]


@dataclasses.dataclass(frozen=True)
class BoxCoderSpec:
    """How a box is told as four numbers beside its anchor.

    Faster R-CNN, arXiv:1506.01497, Eq. 2: the offset of the centres in heights and
    widths of the anchor, and the logarithms of the ratios of the sizes, each times a
    scale.
    """

    order: Literal["yxhw", "xywh"]  # TensorFlow's and torchvision's
    centre_scale: float = 10.0
    size_scale: float = 5.0
    most_log_ratio: float | None = None  # at which decoded sizes are cut


@dataclasses.dataclass(frozen=True)
class PostprocessingSpec:
    """From the outputs of a detector to its detections.

    The logits of a class become scores; each class suppresses its own duplicates.
    """

    scores: Literal["sigmoid", "softmax"]
    score_threshold: float  # only higher ones count
    iou_threshold: float  # above which the box with the lower score is dropped
    # Whether boxes are cut at the borders of the image before they are compared. They
    # are in any case cut in the end.
    clip_first: bool
    # Boxes of a class that are compared, the highest scores; None for all.
    candidates_per_class: int | None
    detections_per_class: int
    detections: int  # for an image, in all


@dataclasses.dataclass(frozen=True)
class DetectorSpec:
    """A backbone, extra layers, and for each feature map its anchors and predictors.

    Class slot 0 is the background, as in all released models of SSD.
    """

    name: str
    backbone: BackboneSpec
    # Names of maps of `Backbone`, such as "block13/expand", finest first.
    features: tuple[str, ...]
    extras: tuple[ExtraLayerSpec, ...]
    predictor: PredictorSpec
    # For each feature map, those of the extras last, the anchors of a pixel in the
    # order of the predictor's outputs. They are centred on the pixel.
    anchors: tuple[tuple[Anchor, ...], ...]
    box_coder: BoxCoderSpec
    postprocessing: PostprocessingSpec
    # Of extras and predictors; their padding is the backbone's.
    act: Activation
    bn_momentum: float
    bn_epsilon: float
    kind: Literal["detector"] = "detector"  # of network, in files

    @property
    def resolution(self) -> int:
        """Height and width of the input in pixels."""
        return self.backbone.resolution

    @property
    def feature_map(self) -> str:
        """The name of the backbone's last feature map."""
        return self.features[-1]

    @property
    def feature_channels(self) -> int:
        """Channels of the backbone's last feature map."""
        return self.maps[len(self.features) - 1][1]

    @property
    def maps(self) -> list[tuple[int, int]]:
        """Height (and width) in pixels and channels of each feature map.

        Raises:
          UserError: a feature is no map of the backbone, or the anchors are not for as
            many maps as there are.
        """
        result = [size_and_channels(self.backbone, name) for name in self.features]
        size = result[-1][0]
        for extra in self.extras:
            size = divided(size, 2)
            result.append((size, extra.out_channels))
        if len(result) != len(self.anchors):
            raise UserError(
                f"{self.name} has anchors for {len(self.anchors)} feature maps, but "
                f"{len(result)} maps: give a tuple of anchors for each."
            )
        return result

    @property
    def num_anchors(self) -> int:
        """Anchors of an image."""
        per_map = zip(self.maps, self.anchors, strict=True)
        return sum(size**2 * len(anchors) for (size, _), anchors in per_map)

    @property
    def output_layer(self) -> str:
        """The path of the module that gives the first logits of classes."""
        return "class_predictor0/output"

    def num_classes(self, class_outputs: int) -> int:
        """Classes of weights, without the background.

        Args:
          class_outputs: numbers that the output layer gives for a pixel.
        """
        return class_outputs // len(self.anchors[0]) - 1

    def layers(self, num_classes: int = 90) -> list[Layer]:
        """Every layer that has parameters, in the order of execution.

        Args:
          num_classes: classes of objects, without the background. COCO's numbers go to
            90, though it has 80.
        """
        result = self.backbone.layers()
        size, channels = self.maps[len(self.features) - 1]
        for i, extra in enumerate(self.extras):
            result += extra.layers(f"extra{i}", size, channels)
            size, channels = divided(size, 2), extra.out_channels
        for i, ((size, channels), anchors) in enumerate(
            zip(self.maps, self.anchors, strict=True)
        ):
            for kind, numbers in outputs_of_anchor(num_classes).items():
                result += self.predictor.layers(
                    f"{kind}_predictor{i}", size, channels, numbers * len(anchors)
                )
        return result


def outputs_of_anchor(num_classes: int) -> dict[str, int]:
    """How many numbers each kind of predictor gives for an anchor.

    >>> outputs_of_anchor(90)
    {'box': 4, 'class': 91}
    """
    return {"box": BOX_CODES, "class": num_classes + 1}


def features_for_ssd(backbone: BackboneSpec) -> tuple[str, str]:
    """C4 and C5, the backbone's feature maps for SSD: MobileNetV3, Sec. 6.3.

    C4 is the last map before the last stride: the expansion of the block that has this
    stride, or the output of the block before where there is no expansion. C5 is the
    last map of all.

    >>> from mobilenets import get_spec
    >>> features_for_ssd(get_spec("mobilenet_v2").backbone)
    ('block13/expand', 'head_conv')
    >>> features_for_ssd(get_spec("mobilenet_v1").backbone)
    ('block10', 'block12')
    """
    blocks = backbone.blocks
    strided = max(i for i, block in enumerate(blocks) if block.stride > 1)
    names = {layer.name for layer in backbone.layers()}
    c4 = f"block{strided}/expand"
    if c4 not in names:
        c4 = f"block{strided - 1}"
    return c4, last_map(backbone)
