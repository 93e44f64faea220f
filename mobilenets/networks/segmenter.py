"""`SegmenterSpec`: a network that predicts the class of every pixel, as plain data.

DeepLabv3, Chen et al. 2017, arXiv:1706.05587; R-ASPP, MobileNetV2, arXiv:1801.04381,
Sec. 6.3; LR-ASPP, MobileNetV3, arXiv:1905.02244, Sec. 6.4. `architectures.deeplab` has
the published ones.
"""

import dataclasses
from typing import Literal

from mobilenets.networks.feature_maps import last_map, size_and_channels
from mobilenets.networks.layers import Layer, biased_conv, conv, dense
from mobilenets.networks.spec import BackboneSpec, Gate

# How maps are enlarged, see `segmentation.resizing`.
Resizing = Literal["half_pixel", "align_corners"]


@dataclasses.dataclass(frozen=True)
class ASPPSpec:
    """Atrous spatial pyramid pooling: DeepLabv3, Sec. 3.3.

    A 1x1 convolution, dilated 3x3 ones and the mean of the map with a 1x1 convolution
    stand side by side; another 1x1 joins them, and dropout and the logits follow.
    Without the 3x3 ones it is R-ASPP.
    """

    filters: int  # of each convolution
    rates: tuple[int, ...]  # the dilations of the 3x3 convolutions
    dropout_rate: float
    refined: bool = False  # by one more 3x3 convolution behind the dropout
    kind: Literal["aspp"] = "aspp"  # of head, in files

    def layers(self, backbone: BackboneSpec, num_classes: int) -> list[Layer]:
        """Its layers in the order of execution.

        Args:
          backbone: whose last map it reads.
          num_classes: number of logits of a pixel.
        """
        size, inputs = size_and_channels(backbone, last_map(backbone))
        filters, branches = self.filters, len(self.rates) + 2
        result = [conv("aspp0", size, inputs, filters)]
        for i in range(len(self.rates)):
            result.append(conv(f"aspp{i + 1}", size, inputs, filters, 3))
        result += [
            conv("image_pooling", 1, inputs, filters),
            conv("concat_projection", size, branches * filters, filters),
        ]
        if self.refined:
            result.append(conv("refine", size, filters, filters, 3))
        return [*result, biased_conv("logits", size, filters, num_classes)]


@dataclasses.dataclass(frozen=True)
class LRASPPSpec:
    """Lite R-ASPP: MobileNetV3, Sec. 6.4 and Fig. 10.

    A 1x1 convolution is gated by the means of the map, enlarged to the size of a finer
    map, and its logits are added to that map's.
    """

    filters: int
    low_level: str  # the finer map's name in `Backbone`: "block5/depthwise"
    gate: Gate
    # Pixels of the map from one mean to the next, vertically and horizontally. A mean
    # is of as many pixels as the map has at the network's resolution, so that larger
    # images have several. None: there is one mean, of the whole map.
    pooling_stride: tuple[int, int] | None
    kind: Literal["lraspp"] = "lraspp"  # of head, in files

    def layers(self, backbone: BackboneSpec, num_classes: int) -> list[Layer]:
        """As those of `ASPPSpec`; of the gate for one mean."""
        size, inputs = size_and_channels(backbone, last_map(backbone))
        low_size, low_inputs = size_and_channels(backbone, self.low_level)
        filters = self.filters
        return [
            conv("aspp0", size, inputs, filters),
            dense("image_pooling", inputs, filters, bias=False),
            biased_conv("logits", low_size, filters, num_classes),
            biased_conv("low_level_logits", low_size, low_inputs, num_classes),
        ]


@dataclasses.dataclass(frozen=True)
class AuxiliarySpec:
    """3x3 convolution -> dropout -> logits on an earlier map, for one more loss.

    The head of a fully convolutional network, as torchvision has it beside DeepLabv3.
    """

    feature: str  # the map's name in `Backbone`
    channels: int
    dropout_rate: float

    def layers(self, backbone: BackboneSpec, num_classes: int) -> list[Layer]:
        """As those of `ASPPSpec`."""
        size, inputs = size_and_channels(backbone, self.feature)
        return [
            conv("auxiliary/conv", size, inputs, self.channels, 3),
            biased_conv("auxiliary/logits", size, self.channels, num_classes),
        ]


@dataclasses.dataclass(frozen=True)
class SegmenterSpec:
    """A backbone, made finer by dilation, and a head with logits for every pixel.

    Batch norm and ReLU follow every convolution of the heads but the logits and
    LR-ASPP's gate.
    """

    name: str
    backbone: BackboneSpec  # at its output stride: `with_output_stride`
    head: ASPPSpec | LRASPPSpec
    # Of the heads; their padding is the backbone's.
    bn_momentum: float
    bn_epsilon: float
    resizing: Resizing
    auxiliary: AuxiliarySpec | None = None
    kind: Literal["segmenter"] = "segmenter"  # of network, in files

    @property
    def resolution(self) -> int:
        """Height and width in pixels of the images to train."""
        return self.backbone.resolution

    @property
    def feature_map(self) -> str:
        """The name of the backbone's last feature map."""
        return last_map(self.backbone)

    @property
    def feature_channels(self) -> int:
        """Channels of the backbone's last feature map."""
        return self.backbone.feature_channels

    def padded(self, size: int) -> int:
        """To how many pixels an image is padded, at the bottom or on the right.

        With "align_corners" to a multiple of the output stride and one more, as
        TensorFlow's DeepLab pads 1024 x 2048 to 1025 x 2049. Then alone are the pixels
        of the maps where resizing takes them to be: with an even size, the padding of
        TensorFlow's convolutions shifts them by up to a stride.

        Args:
          size: height or width of the image.
        """
        if self.resizing != "align_corners":
            return size
        return size + (1 - size) % self.backbone.output_stride

    @property
    def output_layer(self) -> str:
        """The path of the module that gives the logits."""
        return "logits"

    def num_classes(self, class_outputs: int) -> int:
        """Classes of weights.

        Args:
          class_outputs: numbers that the output layer gives for a pixel.
        """
        return class_outputs

    def layers(self, num_classes: int = 21) -> list[Layer]:
        """Every layer that has parameters, in the order of execution.

        Args:
          num_classes: number of logits of a pixel. PASCAL VOC has 20 classes and the
            background.

        Raises:
          UserError: a head reads a map that the backbone does not have.
        """
        parts = [self.head, self.auxiliary] if self.auxiliary else [self.head]
        result = self.backbone.layers()
        for part in parts:
            result += part.layers(self.backbone, num_classes)
        return result
