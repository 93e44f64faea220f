"""What a side can be told to run. Only the standard library: every side reads this."""

import dataclasses
from typing import Any, ClassVar

CLASSES = 1000
LEARNING_RATE, MOMENTUM = 0.01, 0.9  # small, so that nothing becomes NaN or denormal


@dataclasses.dataclass(frozen=True)
class Network:
    """A step of one network on synthetic images in float32, with `CLASSES` logits."""

    model: str  # a key of `NAMES`
    batch: int
    resolution: int  # height and width of the images in pixels
    dropout_rate: float
    drop_path_rate: float  # of the last block with a residual; see the architecture


@dataclasses.dataclass(frozen=True)
class Detector:
    """A step of torchvision's ssdlite320_mobilenet_v3_large in float32.

    The images are synthetic, of the network's 320 pixels. In training each has `boxes`
    boxes. For inference the biases of the classes are set, since what suppression costs
    depends on how many boxes have a score: `BIASES`.
    """

    batch: int
    boxes: int = 8

    # COCO's numbers, of which each has a slot beside that of the background.
    CLASSES: ClassVar[int] = 90
    # Every anchor shows the first five classes a little, and no other class.
    BIASES: ClassVar[tuple[float, ...]] = (0.0, *5 * [-4.0], *85 * [-20.0])

    @property
    def model(self) -> str:
        """As torchvision names it."""
        return "ssdlite320_mobilenet_v3_large"

    def corners(self, image: int) -> list[tuple[float, float, float, float]]:
        """Left, top, right and bottom of an image's boxes, as fractions of it."""
        found = []
        for number in range(self.boxes):
            left, top = (0.13 * (number + image) % 0.5), (0.29 * number % 0.55)
            width, height = 0.08 + 0.05 * number % 0.4, 0.08 + 0.07 * number % 0.35
            found.append((left, top, left + width, top + height))
        return found

    def classes(self, image: int) -> list[int]:
        """Of the boxes, from 1."""
        return [1 + (7 * n + image) % self.CLASSES for n in range(self.boxes)]


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """A step of LR-ASPP as torchvision has it, on synthetic images in float32."""

    batch: int
    resolution: int  # height and width of the images in pixels
    classes: int = 21  # of PASCAL VOC, with the background

    @property
    def model(self) -> str:
        """As torchvision names it."""
        return "lraspp_mobilenet_v3_large"


@dataclasses.dataclass(frozen=True)
class InputPipeline:
    """Batches of JPEGs, decoded, cropped at random, resized and mirrored by half.

    A call takes `BATCHES` of them, since a pipeline makes several ahead of time.
    """

    folder: str  # with the files *.jpg in folders, one for each class
    batch: int
    resolution: int  # height and width of the crops in pixels
    rand_augment: bool  # two operations of magnitude 9 after that
    workers: int  # processes, for the sides that have such

    BATCHES: ClassVar[int] = 32
    # Inception crops: the area; the aspect ratio is at most this, at least its inverse.
    MIN_AREA: ClassVar[float] = 0.08
    MAX_ASPECT_RATIO: ClassVar[float] = 4 / 3
    RAND_AUGMENT: ClassVar[tuple[int, int]] = (2, 9)  # N and M of arXiv:1909.13719

    @property
    def model(self) -> str:
        """What is told of it, as of the other workloads."""
        return "rand augment" if self.rand_augment else "crop"

    @property
    def images(self) -> int:
        """Of a call."""
        return self.batch * self.BATCHES


@dataclasses.dataclass(frozen=True)
class Depthwise:
    """One depthwise convolution with symmetric padding, on a square map in float32."""

    kernel_size: int
    stride: int
    channels: int
    size: int  # height and width of the input in pixels
    batch: int


@dataclasses.dataclass(frozen=True)
class MatrixProduct:
    """The product of two square float32 matrices."""

    size: int = 4096

    @property
    def operations(self) -> int:
        """Multiplications and additions of one call."""
        return 2 * self.size**3


@dataclasses.dataclass(frozen=True)
class Copy:
    """Copies a float32 array into another that exists already."""

    elements: int = 64 * 2**20  # 256 MiB: no cache holds it

    @property
    def bytes(self) -> int:
        """Bytes read and bytes written by one call."""
        return 2 * 4 * self.elements


# What can be asked for, and what describes it. A side has a function of the same name.
TASKS: dict[str, Any] = {
    "training": Network,
    "inference": Network,
    "segmentation_training": Segmentation,
    "segmentation_inference": Segmentation,
    "compile_training": Network,
    "compile_inference": Network,
    "detector_training": Detector,
    "detector_inference": Detector,
    "input_pipeline": InputPipeline,
    "depthwise_forward": Depthwise,
    "depthwise_training": Depthwise,
    "matrix_product": MatrixProduct,
    "copy": Copy,
}


@dataclasses.dataclass(frozen=True)
class Names:
    """What the peers call a network."""

    timm: str
    keras: str  # a function of keras.applications
    keras_options: dict[str, Any] = dataclasses.field(default_factory=dict)


# Rescaling of the images is left out where Keras offers that: it is not the network's.
_PLAIN = {"include_preprocessing": False}
_MINIMALISTIC = _PLAIN | {"minimalistic": True}

# The networks that timm and Keras both have, with the same number of parameters.
# fmt: off
NAMES = {
    "mobilenet_v1": Names("mobilenetv1_100", "MobileNet"),
    "mobilenet_v2": Names("mobilenetv2_100", "MobileNetV2"),
    "mobilenet_v3_large": Names("mobilenetv3_large_100", "MobileNetV3Large", _PLAIN),
    "mobilenet_v3_small": Names("mobilenetv3_small_100", "MobileNetV3Small", _PLAIN),
    "mobilenet_v3_large_minimalistic":
        Names("tf_mobilenetv3_large_minimal_100", "MobileNetV3Large", _MINIMALISTIC),
    "mobilenet_v3_small_minimalistic":
        Names("tf_mobilenetv3_small_minimal_100", "MobileNetV3Small", _MINIMALISTIC),
    "efficientnet_b0": Names("efficientnet_b0", "EfficientNetB0"),
    "efficientnet_b1": Names("efficientnet_b1", "EfficientNetB1"),
    "efficientnet_b2": Names("efficientnet_b2", "EfficientNetB2"),
    "efficientnet_b3": Names("efficientnet_b3", "EfficientNetB3"),
    "efficientnet_b4": Names("efficientnet_b4", "EfficientNetB4"),
    "efficientnet_b5": Names("efficientnet_b5", "EfficientNetB5"),
    "efficientnet_b6": Names("efficientnet_b6", "EfficientNetB6"),
    "efficientnet_b7": Names("efficientnet_b7", "EfficientNetB7"),
}
# fmt: on
