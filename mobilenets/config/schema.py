"""Every value that a run can be given, with its type, range, default and meaning.

A config file builds a dictionary from `check.defaults()`; `check.check` turns it into
the frozen, typed `Configuration` that all other code reads. `mobilenets config NAME`
prints the values with these descriptions.
"""

import dataclasses
import math
import re
import reprlib
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import pydantic_core
from annotated_types import Ge, Gt, Le, Lt

# Every number has bounds, so that what is computed from it is finite, in float32 and
# int32 too. They are far beyond any use.
_MOST = 1_000_000
Count = Annotated[int, Ge(0), Le(_MOST)]
Positive = Annotated[int, Ge(1), Le(_MOST)]
Fraction = Annotated[float, Ge(0), Lt(1)]
Ratio = Annotated[float, Ge(1e-6), Le(1)]
NonNegative = Annotated[float, Ge(0), Le(_MOST)]
Epochs = Annotated[float, Ge(1e-6), Le(_MOST)]
# Of a learning rate, or of what a root or a division needs above 0.
Small = Annotated[float, Ge(1e-12), Le(1e30)]
Jitter = Annotated[float, Ge(0), Le(10)]
Filled = Annotated[str, pydantic.StringConstraints(min_length=1)]
Mean = Annotated[float, Ge(-_MOST), Le(_MOST)]
Deviation = Annotated[float, Ge(1e-6), Le(_MOST)]
Channels = tuple[float, float, float]  # red, green, blue

# Of ImageNet's pixels, 0 to 255. The TPU models and PyTorch's normalise by them.
IMAGENET_MEAN: Channels = (123.675, 116.28, 103.53)
IMAGENET_STD: Channels = (58.395, 57.12, 57.375)


class Section(pydantic.BaseModel):
    """A part of the configuration: typed, finite, without unknown keys, immutable."""

    model_config = pydantic.ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    @pydantic.field_validator("*")
    @classmethod
    def _check_text(cls, value: Any) -> Any:
        """Refuses a text that cannot be saved, or be a path."""
        for text in value if isinstance(value, dict) else [value]:
            if isinstance(text, str) and _is_no_text(text):
                raise ValueError("it has characters that are not valid in UTF-8")
        return value


def _is_no_text(value: str) -> bool:
    """Whether it has the halves of characters that stand for broken bytes, or NUL."""
    return "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)


class ClassificationTask(Section):
    """One class per image: softmax cross-entropy."""

    name: Literal["classification"] = "classification"
    """One class per image (classification), any number of attributes (multilabel),
    objects with boxes (detection), a class for each pixel (segmentation), the place
    where a photograph was taken (geolocalization), or all networks of a search space
    with one class per image (supernet)."""
    label_smoothing: Fraction = 0.0
    """The part of a label that is spread evenly over all classes."""
    weights: dict[str, NonNegative] = {}
    """The loss weight of each class, by name; 1 for those not named."""
    balanced: bool = False
    """Weights each class by images / (classes * images of the class), so that rare
    classes count as much as frequent ones."""

    @pydantic.model_validator(mode="after")
    def _check_weights(self) -> "ClassificationTask":
        if self.weights and self.balanced:
            raise ValueError("weights and balanced are both given: leave out one")
        return self


class MultilabelTask(Section):
    """Any number of attributes per image: sigmoid cross-entropy of each."""

    name: Literal["multilabel"] = "multilabel"
    """One class per image (classification), any number of attributes (multilabel),
    objects with boxes (detection), a class for each pixel (segmentation), the place
    where a photograph was taken (geolocalization), or all networks of a search space
    with one class per image (supernet)."""
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.5
    """The lowest probability at which an attribute is predicted."""
    weights: dict[str, NonNegative] = {}
    """The loss weight of each attribute, by name; 1 for those not named."""


class DetectionTask(Section):
    """Objects with boxes: SSD and SSDLite."""

    name: Literal["detection"] = "detection"
    """One class per image (classification), any number of attributes (multilabel),
    objects with boxes (detection), a class for each pixel (segmentation), the place
    where a photograph was taken (geolocalization), or all networks of a search space
    with one class per image (supernet)."""
    loss: Literal["focal", "mined_sigmoid", "mined_softmax"] = "focal"
    """The loss of the classes: focal loss as for MobileNetV3, or cross-entropy with
    mined negatives, by sigmoids as for TensorFlow's MobileNetV1 and V2 or by a softmax
    as for torchvision's models. That of the boxes is always smooth L1."""
    min_negatives: Annotated[int, Ge(0), Le(100_000)] = 0
    """With mined negatives, how many count in an image with few or no objects. 3 for
    TensorFlow's MobileNetV2."""


class SupernetTask(Section):
    """All networks of a search space at once, with shared weights; one class per image.

    `model` gives the space: a name of ours (moga), or a `spec` of your own that returns
    a SearchSpace.
    """

    name: Literal["supernet"] = "supernet"
    """One class per image (classification), any number of attributes (multilabel),
    objects with boxes (detection), a class for each pixel (segmentation), the place
    where a photograph was taken (geolocalization), or all networks of a search space
    with one class per image (supernet)."""
    label_smoothing: Fraction = 0.0
    """The part of a label that is spread evenly over all classes."""
    sampling: Literal["fair", "uniform"] = "fair"
    """The networks of a step: with fair (FairNAS' strict fairness) as many as a
    position has choices, so that each choice is trained once; with uniform a random
    one. All see the same batch, and their gradients are added up."""


class SegmentationTask(Section):
    """A class for each pixel: softmax cross-entropy, over the pixels with a label."""

    name: Literal["segmentation"] = "segmentation"
    """One class per image (classification), any number of attributes (multilabel),
    objects with boxes (detection), a class for each pixel (segmentation), the place
    where a photograph was taken (geolocalization), or all networks of a search space
    with one class per image (supernet)."""
    # PSPNet, arXiv:1612.01105, Sec. 3.3.
    auxiliary_weight: NonNegative = 0.4
    """The weight of the loss of an auxiliary head, where the network has one; 0.5 in
    torchvision's training."""
    frozen_batch_norm: bool = False
    """Has all batch norms use the statistics of init_from, in training too, and leaves
    those as they are. Scales and biases are trained."""
    eval_scales: Annotated[
        tuple[Annotated[float, Ge(0.1), Le(10)], ...],
        pydantic.Field(min_length=1, max_length=20),
    ] = (1.0,)
    """The sizes at which an image is seen in evaluation, as multiples of its own; the
    probabilities are averaged. DeepLab's: 0.5, 0.75, 1.0, 1.25, 1.5, 1.75."""
    eval_flip: bool = False
    """Whether an image is also seen mirrored in evaluation."""


class GeolocalizationTask(Section):
    """Where a photograph was taken: one class for each cell of the earth, as in PlaNet.

    The cells are made of the places of the training images: a cell of S2 is divided
    into four while it has too many images. PlaNet, arXiv:1602.05314, Sec. 3.
    """

    name: Literal["geolocalization"] = "geolocalization"
    """One class per image (classification), any number of attributes (multilabel),
    objects with boxes (detection), a class for each pixel (segmentation), the place
    where a photograph was taken (geolocalization), or all networks of a search space
    with one class per image (supernet)."""
    max_images_per_cell: Positive = 1000
    """A cell with more training images is divided."""
    min_images_per_cell: Positive = 50
    """A cell with fewer training images is dropped: it is no class, and these images
    are not trained on. Images to evaluate all count."""
    label_smoothing: Fraction = 0.0
    """The part of a label that is spread evenly over all cells."""

    @pydantic.model_validator(mode="after")
    def _check_range(self) -> "GeolocalizationTask":
        if self.min_images_per_cell > self.max_images_per_cell:
            raise ValueError(
                f"min_images_per_cell {self.min_images_per_cell} is above "
                f"max_images_per_cell {self.max_images_per_cell}"
            )
        return self


Task = (
    ClassificationTask
    | MultilabelTask
    | DetectionTask
    | SegmentationTask
    | GeolocalizationTask
    | SupernetTask
)


class _Splits(Section):
    train_split: Filled = "train"
    """The split for training. TensorFlow Datasets can be sliced: "train[:90%]"."""
    eval_split: Filled = "validation"
    """The split for evaluation, called "val" in the metrics."""
    num_workers: Annotated[int, Ge(0), Le(1024)] = 0
    """Processes that decode images, at most one for each core; 0 uses threads, enough
    for small images."""
    max_bad_images: Count = 0
    """Broken images that are passed over: in training another image stands in for each,
    in an evaluation it is left out. One more stops the run, after a checkpoint."""


class _EvalSplit(Section):
    split: Filled = "validation"
    """The split to evaluate."""


class Named(Section):
    """A data set of TensorFlow Datasets by its name, or an embedded one."""

    name: Filled
    """A data set of TensorFlow Datasets, or an embedded one."""
    data_dir: str = ""
    """Where TFDS stores its data sets; empty: ~/tensorflow_datasets."""


class Prepared(Section):
    """A prepared data set of TensorFlow Datasets by its folder."""

    directory: Filled
    """One prepared TFDS data set, .../NAME/VERSION."""


class _Divided(Section):
    eval_fraction: Fraction = 0.0
    """If above 0, this part of the images becomes the split "validation" and the others
    the split "train"."""


class InFolder(_Divided):
    """Images in a folder for each class."""

    folder: Filled
    """Images as SPLIT/CLASS/*.jpg (or png, webp); with boxes, the folder of COCO's,
    YOLO's or Pascal VOC's files; with masks, the folder of images and masks."""


class InTable(_Divided):
    """Images that a table lists."""

    table: Filled
    """A CSV or Parquet file with a row for each image."""
    images: str = ""
    """The folder of the paths in the table; empty: the table's own folder."""
    separator: Filled = ";"
    """The separator between the labels of an image in the column `labels`."""


class NamedDataset(_Splits, Named):
    """A data set of TensorFlow Datasets, or an embedded one."""


class PreparedDataset(_Splits, Prepared):
    """One prepared data set of TensorFlow Datasets."""


class FolderDataset(_Splits, InFolder):
    """Images in a folder for each class."""


class TableDataset(_Splits, InTable):
    """Images that a table lists."""


class NoDataset(_Splits):
    """The sources are given from Python."""


class NamedEval(_EvalSplit, Named):
    """An evaluation set of TensorFlow Datasets, or an embedded one."""


class PreparedEval(_EvalSplit, Prepared):
    """An evaluation set that is one prepared data set of TensorFlow Datasets."""


class FolderEval(_EvalSplit, InFolder):
    """An evaluation set in a folder."""


class TableEval(_EvalSplit, InTable):
    """An evaluation set that a table lists."""


class OwnEval(_EvalSplit):
    """Another split of the run's own data set."""


# The key that says what kind of source a data set has.
SOURCES = ("name", "directory", "folder", "table")


def _kind_of_source(values: Any) -> str:
    """The key of the source, "" if there is none; of a model or of what becomes one."""
    given = values if isinstance(values, dict) else getattr(values, "__dict__", {})
    return next((key for key in SOURCES if key in given), "")


def _one_source(values: Any) -> Any:
    given = [k for k in SOURCES if k in values] if isinstance(values, dict) else []
    if len(given) > 1:
        raise ValueError(
            f"{' and '.join(given)} are given, but the images have one source"
        )
    return values


_SOURCE = (
    pydantic.Discriminator(_kind_of_source),
    pydantic.BeforeValidator(_one_source),
)

Dataset = Annotated[
    Annotated[NamedDataset, pydantic.Tag("name")]
    | Annotated[PreparedDataset, pydantic.Tag("directory")]
    | Annotated[FolderDataset, pydantic.Tag("folder")]
    | Annotated[TableDataset, pydantic.Tag("table")]
    | Annotated[NoDataset, pydantic.Tag("")],
    *_SOURCE,
]
EvalSet = Annotated[
    Annotated[NamedEval, pydantic.Tag("name")]
    | Annotated[PreparedEval, pydantic.Tag("directory")]
    | Annotated[FolderEval, pydantic.Tag("folder")]
    | Annotated[TableEval, pydantic.Tag("table")]
    | Annotated[OwnEval, pydantic.Tag("")],
    *_SOURCE,
]


class Preprocessing(Section):
    """How an image is preprocessed for a network, except for its resolution.

    It belongs to the weights: training, evaluation and prediction read the same value.
    """

    resize: Literal["crop", "squash", "pad", "keep", "short_side"] = "crop"
    """In evaluation, crop resizes the short side to resolution / crop_fraction and
    takes the centre crop; squash resizes the whole image to a square; pad resizes its
    long side and fills the square up with the mean. For segmentation also keep, the
    image as large as it is, and short_side, the whole image with its short side resized
    to the resolution."""
    crop_fraction: Annotated[float, Ge(0.1), Le(1)] = 0.875
    """The part of the resized short side that is kept in evaluation."""
    interpolation: Literal["bilinear", "bicubic", "bilinear_no_antialias"] = "bilinear"
    """The interpolation for resizing. bilinear and bicubic read more pixels when an
    image becomes smaller; bilinear_no_antialias, of torchvision's detectors, always
    reads four."""
    # The defaults are slim's, and so the papers' for MobileNetV1 and V2: the range
    # becomes -1 to 1.
    mean: tuple[Mean, Mean, Mean] = (127.5, 127.5, 127.5)
    """Subtracted from red, green and blue, which range from 0 to 255."""
    std: tuple[Deviation, Deviation, Deviation] = (127.5, 127.5, 127.5)
    """Red, green and blue are divided by it after that."""

    @pydantic.model_validator(mode="after")
    def _check_whole(self) -> "Preprocessing":
        if self.resize != "crop" and self.crop_fraction != 1:
            raise ValueError(
                f"resize is {self.resize!r}, which keeps the whole image, but "
                f"crop_fraction is {self.crop_fraction}: give 1.0 for it"
            )
        return self


class RandomCrop(Section):
    """The crop of "Going deeper with convolutions", Sec. 6."""

    name: Literal["random_crop"] = "random_crop"
    """The operation."""
    min_area: Ratio = 0.08
    """The smallest area of the crop, as a fraction of the image."""
    max_aspect_ratio: Annotated[float, Ge(1), Le(100)] = 4 / 3
    """The largest ratio of width to height, and of height to width, of the crop."""


class Flip(Section):
    """A horizontal flip with probability one half."""

    name: Literal["flip"] = "flip"
    """The operation."""


class ColorJitter(Section):
    """Random changes of the colours, in random order."""

    name: Literal["color_jitter"] = "color_jitter"
    """The operation."""
    brightness: Jitter = 0.0
    """Its largest change, as a fraction."""
    contrast: Jitter = 0.0
    """Its largest change, as a fraction."""
    saturation: Jitter = 0.0
    """Its largest change, as a fraction."""
    hue: Annotated[float, Ge(0), Le(0.5)] = 0.0
    """Its largest change, as a fraction of the colour circle."""
    probability: Annotated[float, Gt(0), Le(1)] = 1.0
    """Of each of the changes. SSD's photometric distortion is one half, with a
    brightness of 0.125, contrast and saturation of 0.5 and a hue of 0.05."""


class Expand(Section):
    """A larger canvas around the image in half of all draws, SSD's "zoom out".

    It has the mean colour. For images with boxes; before any crop.
    """

    name: Literal["expand"] = "expand"
    """The operation."""
    max_ratio: Annotated[float, Ge(1), Le(10)] = 4.0
    """The largest ratio of the sides of the canvas to those of the image."""


class SsdCrop(Section):
    """The crop of "SSD: Single Shot MultiBox Detector", Sec. 2.2, which needs boxes."""

    name: Literal["ssd_crop"] = "ssd_crop"
    """The operation."""
    min_area: Annotated[float, Gt(0), Le(1)] = 0.1
    """The smallest area of the crop, as a fraction of the image."""
    max_aspect_ratio: Annotated[float, Ge(1)] = 2.0
    """The largest ratio of width to height, and of height to width, of the crop, where
    1 is the shape of the image."""


class ScaleCrop(Section):
    """A random scale, then a window of the network's resolution at a random place.

    What the window shows beyond the image has the mean colour and no label. A scale of
    1 is the size that the image has in evaluation. DeepLab's: arXiv:1706.05587, Sec.
    4.1.
    """

    name: Literal["scale_crop"] = "scale_crop"
    """The operation."""
    min_scale: Annotated[float, Ge(0.1), Le(10)] = 0.5
    """The smallest scale."""
    max_scale: Annotated[float, Ge(0.1), Le(10)] = 2.0
    """The largest scale."""

    @pydantic.model_validator(mode="after")
    def _check_range(self) -> "ScaleCrop":
        if self.min_scale > self.max_scale:
            raise ValueError(
                f"min_scale {self.min_scale} is above max_scale {self.max_scale}"
            )
        return self


class AutoAugment(Section):
    """AutoAugment: a random one of 25 published pairs of operations.

    arXiv:1805.09501.
    """

    name: Literal["auto_augment"] = "auto_augment"
    """The operation."""
    policy: Literal["v0", "original"] = "v0"
    """v0 is that of EfficientNet's code, original that of AutoAugment's paper, Table 9,
    with the ranges that torchvision has."""


_MOST_IN_TIMM = 10  # the highest magnitude of its RandAugment


class RandAugment(Section):
    """RandAugment: some random operations, all of one magnitude.

    arXiv:1909.13719.
    """

    name: Literal["rand_augment"] = "rand_augment"
    """The operation."""
    layers: Annotated[int, Ge(1), Le(10)] = 2
    """How many operations, the paper's N."""
    magnitude: Annotated[float, Ge(0), Le(30)] = 9.0
    """Their magnitude, the paper's M: up to 10 with timm's scale. With that of
    EfficientNet, B5 has 17 and B7 28."""
    scale: Literal["timm", "efficientnet"] = "timm"
    """What a magnitude means. In timm (inc1) all changes grow with it, and translations
    are fractions of the image. In EfficientNet's code translations are up to 10 x M
    pixels whatever the image's size, and posterize and solarize become weaker."""
    probability: Ratio = 1.0
    """Of each of the operations; 0.5 in timm."""

    @pydantic.model_validator(mode="after")
    def _check_magnitude(self) -> "RandAugment":
        if self.scale == "timm" and self.magnitude > _MOST_IN_TIMM:
            raise ValueError(
                f"magnitude is {self.magnitude}, but timm's scale ends at "
                f"{_MOST_IN_TIMM}: give less, or scale='efficientnet'"
            )
        return self


class TrivialAugment(Section):
    """TrivialAugment (wide): one random operation of random magnitude.

    arXiv:2103.10158.
    """

    name: Literal["trivial_augment"] = "trivial_augment"
    """The operation."""


class RandomErasing(Section):
    """Noise in a random rectangle; arXiv:1708.04896."""

    name: Literal["random_erasing"] = "random_erasing"
    """The operation."""
    probability: Ratio = 0.5
    """The part of the images that are changed."""
    min_area: Ratio = 0.02
    """The smallest area of the rectangle, as a fraction of the image."""
    max_area: Ratio = 0.4
    """The largest area; 1/3 in timm and torchvision."""
    max_aspect_ratio: Annotated[float, Ge(1), Le(100)] = 1 / 0.3
    """The largest ratio of width to height, and of height to width."""

    @pydantic.model_validator(mode="after")
    def _check_range(self) -> "RandomErasing":
        if self.min_area > self.max_area:
            raise ValueError(
                f"min_area {self.min_area} is above max_area {self.max_area}"
            )
        return self


class Mixup(Section):
    """Means of two images and of their labels; arXiv:1710.09412.

    Partners are neighbours in the batch. It acts on whole batches, after all operations
    on single images.
    """

    name: Literal["mixup"] = "mixup"
    """The operation."""
    alpha: Annotated[float, Ge(0), Le(100)] = 0.2
    """The shares are from the distribution Beta(alpha, alpha); 0 mixes nothing."""
    probability: Ratio = 1.0
    """The part of the pairs that are mixed. With cutmix, of which a pair gets the one
    or the other, the two together are at most 1."""


class CutMix(Section):
    """A box of another image, and as much of its label; arXiv:1905.04899.

    Partners are neighbours in the batch. It acts on whole batches, after all operations
    on single images.
    """

    name: Literal["cutmix"] = "cutmix"
    """The operation."""
    alpha: Annotated[float, Ge(0), Le(100)] = 1.0
    """The area that stays is from the distribution Beta(alpha, alpha); with 0, all."""
    probability: Ratio = 1.0
    """The part of the pairs that are mixed. With mixup, of which a pair gets the one or
    the other, the two together are at most 1."""


class RepeatedAugmentation(Section):
    """Each image several times in a batch, changed anew each time; arXiv:1901.09335.

    A batch and an epoch have as many images as without, so that it takes several epochs
    until all images have been seen.
    """

    name: Literal["repeated_augmentation"] = "repeated_augmentation"
    """The operation."""
    copies: Annotated[int, Ge(2), Le(1000)] = 3
    """How often an image is in a batch."""


OnImages = (
    RandomCrop
    | Flip
    | ColorJitter
    | Expand
    | SsdCrop
    | ScaleCrop
    | AutoAugment
    | RandAugment
    | TrivialAugment
    | RandomErasing
)
OnBatches = Mixup | CutMix | RepeatedAugmentation
Operation = OnImages | OnBatches

_POLICIES = ("auto_augment", "rand_augment", "trivial_augment")
# What may hide or move what boxes and masks speak of; and what mixes labels.
_FOR_WHOLE_IMAGES = (*_POLICIES, "random_erasing")
_MIXING = ("mixup", "cutmix")


def _as_operations(values: Any) -> Any:
    """From {name: values}, as config files have it, to a tuple of objects."""
    if isinstance(values, dict):
        for name, inner in values.items():
            if not isinstance(inner, dict):
                raise ValueError(
                    f"{name} is {inner!r}, but it is a section with values of its own"
                )
        return tuple({**inner, "name": name} for name, inner in values.items())
    return tuple(values) if isinstance(values, list) else values  # as JSON has it


def _with_plain_spec(model: Any) -> Any:
    """With a spec as JSON has it, so that a saved config equals the one given."""
    spec = model.get("spec") if isinstance(model, dict) else None
    if dataclasses.is_dataclass(spec) or isinstance(spec, dict):
        return {**model, "spec": pydantic_core.to_jsonable_python(spec)}
    return model


def _check_options(model: dict[str, Any]) -> dict[str, Any]:
    """Refuses a key that is no name, and a value that JSON does not have.

    Which options a network has, and their ranges, is checked where it is built.
    """
    for key, value in model.items():
        if not key.isidentifier():
            raise ValueError(f"{key!r} is no name of an option")
        if key == "spec" and not isinstance(value, str):
            _check_json(value, "spec")
        elif isinstance(value, bool | int | float | str):
            _check_json(value, key)
        else:
            raise ValueError(
                f"{key} is {reprlib.repr(value)}, but should be a number or a string"
            )
    return model


def _check_json(value: Any, key: str) -> None:
    """Raises ValueError unless JSON can hold the value, finite as all numbers are."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_json(name, key)
            _check_json(inner, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_json(inner, key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key} is {value}, but should be a finite number")
    elif isinstance(value, int) and abs(value) > 2**31:
        raise ValueError(f"{key} is too large a number")
    elif isinstance(value, str) and _is_no_text(value):
        raise ValueError(f"{key} has characters that are not valid in UTF-8")
    elif not isinstance(value, bool | int | float | str | None):
        raise ValueError(f"{key} is a {type(value).__name__}, which JSON does not have")


class Distillation(Section):
    """How a network learns from `teacher`; Hinton et al., arXiv:1503.02531."""

    temperature: Annotated[float, Ge(0.1), Le(100)] = 2.0
    """The outputs of both networks are divided by it before they become probabilities:
    a higher one shows more of what the teacher considers similar."""
    # MobileNetV1, arXiv:1704.04861, Sec. 4.5: "trained to emulate the outputs of a
    # larger model instead of the ground-truth labels".
    label_weight: Fraction = 0.0
    """The weight of the loss on the labels; that on the teacher's outputs has the rest.
    At 0 labels to train are not read, and images need none. Above 0 an image without
    one is taught by the teacher alone."""
    outputs: str = ""
    """A folder in which the teacher's outputs for the images to train are kept, so that
    each is computed once, for all runs that give this folder; empty: they are computed
    in each step. It needs images that are not changed at random: no augmentation."""


class _Optimizer(Section):
    learning_rate: Small = 0.01
    """The peak learning rate, for the whole batch."""
    # In the papers' code the gradient gets weight_decay * weight.
    weight_decay: NonNegative = 0.0
    """Of kernels only. An L2 term of the loss with rmsprop and sgd, decoupled with
    adamw."""
    # MobileNetV1 found "very little or no weight decay" best on them, Sec. 3.2.
    weight_decay_on_depthwise: bool = False
    """Whether weight decay includes the kernels of depthwise convolutions."""
    clip_norm: NonNegative = 0.0
    """Scales a gradient with a larger norm down to this norm; 0: never."""
    max_nonfinite_steps: Annotated[int, Ge(0), Le(1_000_000)] = 0
    """Steps in succession that may be skipped because their gradient is infinite or not
    a number; after one more the training ends."""
    backbone_rate: Ratio = 1.0
    """The learning rate of all layers except the output layer, as a fraction of
    learning_rate. For fine-tuning, where those layers are already trained."""


class RMSProp(_Optimizer):
    """TensorFlow's RMSProp, the mean of squares starting at 1."""

    name: Literal["rmsprop"] = "rmsprop"
    """The update rule."""
    decay: Fraction = 0.9
    """The decay of the mean of squares."""
    momentum: Fraction = 0.9
    """The momentum."""
    epsilon: Small = 1e-3
    """Added to the mean of squares, inside the root."""


class SGD(_Optimizer):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    """The update rule."""
    momentum: Fraction = 0.9
    """The momentum."""
    nesterov: bool = False
    """Whether to use Nesterov momentum."""


class AdamW(_Optimizer):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"
    """The update rule."""
    b1: Fraction = 0.9
    """The decay of the mean."""
    b2: Fraction = 0.999
    """The decay of the mean of squares."""
    epsilon: Small = 1e-8
    """Added to the root of the mean of squares."""


Optimizer = RMSProp | SGD | AdamW


class _Schedule(Section):
    warmup_epochs: NonNegative = 0.0
    """Epochs of linear warm-up from 0."""


class Exponential(_Schedule):
    """The learning rate is multiplied by a factor at regular intervals."""

    name: Literal["exponential"] = "exponential"
    """The decay of the learning rate."""
    decay_rate: Ratio = 0.97
    """The factor."""
    decay_epochs: Epochs = 2.4
    """Epochs between two decays."""


class Piecewise(_Schedule):
    """The learning rate is multiplied by a factor at given epochs."""

    name: Literal["piecewise"] = "piecewise"
    """The decay of the learning rate."""
    boundaries: tuple[Epochs, ...] = (30.0, 60.0, 80.0)
    """The epochs at which the rate is multiplied."""
    factor: Ratio = 0.1
    """The factor."""


class Cosine(_Schedule):
    """Half a cosine from the peak to the last step."""

    name: Literal["cosine"] = "cosine"
    """The decay of the learning rate."""
    final_fraction: Fraction = 0.0
    """The rate at the last step, as a fraction of the peak."""


class Polynomial(_Schedule):
    """A power of the steps that are left, as a fraction of all: DeepLab's "poly".

    DeepLabv3, arXiv:1706.05587, Sec. 4.1.
    """

    name: Literal["poly"] = "poly"
    """The decay of the learning rate."""
    power: Annotated[float, Ge(0.1), Le(10)] = 0.9
    """The power; 1 is a straight line."""


Schedule = Exponential | Piecewise | Cosine | Polynomial


class Progressive(Section):
    """Stages of a training, from small images and little regularisation to the run's.

    EfficientNetV2, arXiv:2104.00298, Algorithm 1. A value of -1 is that of the run in
    every stage; others grow by equal steps, from the one given here to that of the run.
    """

    stages: Annotated[int, Ge(1), Le(100)] = 1
    """How many stages there are, equally long."""
    resolution: Annotated[int, Ge(-1), Le(_MOST)] = -1
    """The size of the images in the first stage; in the last it is train_resolution, or
    that of the network."""
    dropout_rate: Annotated[float, Ge(-1), Lt(1)] = -1.0
    """The dropout before the logits in the first stage."""
    magnitude: Annotated[float, Ge(-1), Le(30)] = -1.0
    """augmentation.rand_augment.magnitude in the first stage."""
    mixup_alpha: Annotated[float, Ge(-1), Le(100)] = -1.0
    """augmentation.mixup.alpha in the first stage."""


class Configuration(Section):
    """One run: `mobilenets train --config FILE` trains exactly this."""

    # The sections of which `name` says what kind they are.
    TAGGED: ClassVar = ("task", "optimizer", "schedule")

    task: Annotated[Task, pydantic.Field(discriminator="name")] = ClassificationTask()
    """The task."""
    init_from: str = ""
    """A folder of weights to start from: imported weights or the workdir of a run. They
    define the network and its preprocessing."""
    teacher: str = ""
    """A folder of weights that teach the network, imported ones or the workdir of a
    run, for classification, multilabel, geolocalization and supernet; empty: none. The
    classes are those of the teacher, which is not changed. It sees the same crop,
    mirrored alike, at its own resolution and with its own preprocessing."""
    distillation: Distillation = Distillation()
    """How the network learns from the teacher."""
    trainable_stages: Annotated[int, Ge(-1), Le(_MOST)] = -1
    """How many of the last stages are trained; each stride begins a stage. 0 trains
    only the output layer, -1 everything. Frozen weights stay exactly as they are."""
    model: Annotated[
        dict[str, Any],
        pydantic.BeforeValidator(_with_plain_spec),
        pydantic.AfterValidator(_check_options),
    ] = {}
    """The network: `name` is one that `mobilenets list` prints, `spec` is one of your
    own (FILE.py:FUNCTION, PACKAGE.MODULE:FUNCTION or FILE.json; in Python also a
    ClassifierSpec). Other keys are its options: width_multiplier, resolution, ... With
    init_from only options."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """The precision of the computation."""
    dataset: Dataset = NoDataset()
    """Where the images come from: one of name, directory, folder and table."""
    evals: dict[str, EvalSet] = {}
    """Further evaluation sets by name; "val" is dataset.eval_split."""
    preprocessing: Preprocessing = Preprocessing()
    """The preprocessing of every image."""
    augmentation: Annotated[
        tuple[Annotated[Operation, pydantic.Field(discriminator="name")], ...],
        pydantic.BeforeValidator(_as_operations),
    ] = (RandomCrop(), Flip())
    """Random changes of the training images, applied in this order."""
    train_resolution: Count = 0
    """The size of the images to train, for a classifier; 0: that of the network, at
    which it is evaluated and used. "Fixing the train-test resolution discrepancy",
    arXiv:1906.06423, finds a smaller one better."""
    eval_resolution: Count = 0
    """The size of the images to evaluate, for a classifier; 0: that of the network."""
    progressive: Progressive = Progressive()
    """Stages in which the size of the images, augmentation and dropout grow."""
    batch_size: Positive = 128
    """Images in one update, over all devices."""
    accumulation_steps: Positive = 1
    """Splits each batch into this many parts to save memory."""
    remat: bool = False
    """Recomputes each block for the gradient instead of keeping its activations. Saves
    memory on GPUs and TPUs, but not on CPUs. It changes only rounding, so a run can
    resume with the other value."""
    epochs: Epochs = 1.0
    """How many times each image is used for training."""
    optimizer: Annotated[Optimizer, pydantic.Field(discriminator="name")] = RMSProp()
    """The update rule."""
    schedule: Annotated[Schedule, pydantic.Field(discriminator="name")] = Cosine()
    """The learning rate over time: a linear warm-up from 0, then a decay."""
    # In the first steps less, see `ema_decay_at`.
    ema_decay: Fraction = 0.9999
    """The decay of the moving average of the weights."""
    best_metric: str = ""
    """SET/METRIC that selects the best checkpoint, such as val/top1; empty: the main
    metric of the task, on val."""
    seed: Annotated[int, Ge(0), Lt(2**32)] = 0
    """The seed of all random numbers."""
    log_every_steps: Positive = 100
    """Steps between two lines of the log."""
    evaluate_every_epochs: Epochs = 1.0
    """Epochs between two evaluations; a checkpoint is saved after each."""
    early_stopping_evaluations: Count = 0
    """Stops the run when best_metric has not improved for this many evaluations; 0:
    never."""
    tracker: str = ""
    """FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION, for Weights & Biases or another
    tracker; empty: none. The function is called with the configuration and the workdir
    when a run starts or resumes. It returns a function that receives every logged
    record: the step, and the numbers by name."""

    def total_steps(self, train_size: int) -> int:
        """Updates in the run.

        Args:
          train_size: images to train.
        """
        return max(1, round(self.epochs * (train_size / self.batch_size)))

    @pydantic.model_validator(mode="after")
    def _check_together(self) -> "Configuration":
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be split into accumulation_steps "
                f"{self.accumulation_steps} equal parts"
            )
        self._check_network()
        self._check_teacher()
        self._check_names()
        self._check_shape_of_images()
        return self

    def _check_shape_of_images(self) -> None:
        resize, of_pixels = self.preprocessing.resize, self.task.name == "segmentation"
        if resize in ("keep", "short_side") and not of_pixels:
            raise ValueError(
                f"preprocessing.resize is {resize!r}, which only segmentation can use, "
                f"but task.name is {self.task.name!r}: give crop, squash or pad"
            )
        if resize == "crop" and of_pixels and not self.init_from:
            raise ValueError(
                "preprocessing.resize is 'crop', but segmentation labels all pixels: "
                "give pad, squash, keep or short_side, and crop_fraction=1.0"
            )
        if isinstance(self.task, SegmentationTask) and (
            self.task.frozen_batch_norm and not self.init_from
        ):
            raise ValueError(
                "task.frozen_batch_norm is given, but the statistics must come from "
                "init_from, which is empty"
            )

    def _check_network(self) -> None:
        given = [key for key in ("name", "spec") if key in self.model]
        if self.init_from and given:
            raise ValueError(
                f"model.{given[0]} is given, but init_from defines the network: leave "
                "it out"
            )
        if len(given) > 1:
            raise ValueError("model.name and model.spec are both given: leave out one")
        if self.init_from:
            return
        if not given:
            raise ValueError(
                "the network is missing: give init_from, a folder of weights "
                "(`mobilenets pretrained` downloads some), model.name or model.spec"
            )
        self._check_type_of_network(given[0], self.model[given[0]])
        if self.trainable_stages >= 0:
            raise ValueError(
                f"trainable_stages is {self.trainable_stages}, but what is not trained "
                "must come from init_from, which is empty"
            )

    def _check_teacher(self) -> None:
        if not self.teacher:
            if self.distillation != Distillation():
                raise ValueError(
                    "distillation is given, but teacher is empty: give a folder of "
                    "weights, or leave distillation out"
                )
            return
        if self.task.name in ("detection", "segmentation"):
            raise ValueError(
                f"teacher is given, but task.name is {self.task.name!r}: only "
                "classification, multilabel, geolocalization and supernet can have one"
            )
        mixing = [o.name for o in self.augmentation if isinstance(o, Mixup | CutMix)]
        if mixing:
            raise ValueError(
                f"teacher is given, but augmentation has {' and '.join(mixing)}: the "
                "teacher's images are not mixed, so leave out one"
            )
        is_balanced = isinstance(self.task, ClassificationTask) and self.task.balanced
        if is_balanced and not self.distillation.label_weight:
            raise ValueError(
                "task.balanced weighs labels, but with a teacher none are read at "
                "distillation.label_weight 0: leave it out, or give a weight"
            )
        if self.distillation.outputs and self.augmentation:
            names = [operation.name for operation in self.augmentation]
            without = " and ".join(f"augmentation.{name}=None" for name in names)
            raise ValueError(
                "distillation.outputs keeps the teacher's outputs for each image, but "
                f"{' and '.join(names)} change the image in each epoch: leave "
                f"distillation.outputs out, or give {without}"
            )

    def _check_type_of_network(self, key: str, value: Any) -> None:
        if isinstance(value, str) or (key == "spec" and isinstance(value, dict)):
            return
        wanted = "a string" + (", or in Python a ClassifierSpec" * (key == "spec"))
        raise ValueError(f"model.{key} is {value!r}, but should be {wanted}")

    def _check_names(self) -> None:
        for name in self.evals:
            if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
                raise ValueError(
                    f"evals.{name}: a name may have letters, digits and _, such as "
                    "evals.night"
                )
            if name in ("train", "val"):
                raise ValueError(f"evals.{name}: the run's own data set has that name")
        self._check_augmentation([operation.name for operation in self.augmentation])
        operations = {o.name: o for o in self.augmentation}
        self._check_batches(operations)
        self._check_stages(operations)

    def _check_augmentation(self, names: list[str]) -> None:
        for place, name in enumerate(names):
            if name in names[:place]:
                raise ValueError(f"augmentation has {name} twice")
            crops = {"random_crop", "ssd_crop", "scale_crop"}
            if name == "expand" and crops & {*names[:place]}:
                raise ValueError("augmentation has expand after a crop: put it before")
            if name in ("random_crop", "ssd_crop") and "scale_crop" in names[:place]:
                raise ValueError(
                    f"augmentation has {name} after scale_crop, which it would undo: "
                    "leave out one"
                )
            if name in ("expand", "ssd_crop") and not isinstance(
                self.task, DetectionTask
            ):
                raise ValueError(
                    f"augmentation has {name}, which needs boxes, but task.name is "
                    f"{self.task.name!r}: leave it out"
                )
            has_parts = isinstance(self.task, DetectionTask | SegmentationTask)
            has_labels = isinstance(
                self.task, ClassificationTask | MultilabelTask | SupernetTask
            )
            if (name in _FOR_WHOLE_IMAGES and has_parts) or (
                name in _MIXING and not has_labels
            ):
                raise ValueError(
                    f"augmentation has {name}, which is for classes or attributes of "
                    f"whole images, but task.name is {self.task.name!r}: leave it out"
                )
        policies = [name for name in names if name in _POLICIES]
        if len(policies) > 1:
            raise ValueError(
                f"augmentation has {' and '.join(policies)}, but only one of them may "
                f"change an image: remove one, such as augmentation.{policies[0]}=None"
            )

    def _check_stages(self, operations: dict[str, Any]) -> None:
        """Raises ValueError if the stages of the training are not to be had."""
        progressive = self.progressive
        given = [
            key
            for key in ("resolution", "dropout_rate", "magnitude", "mixup_alpha")
            if getattr(progressive, key) >= 0
        ]
        if given and progressive.stages == 1:
            raise ValueError(
                f"progressive.{given[0]} is given, but progressive.stages is 1: give "
                "more, such as 4"
            )
        for key, operation in (("magnitude", "rand_augment"), ("mixup_alpha", "mixup")):
            if key in given and operation not in operations:
                raise ValueError(
                    f"progressive.{key} is given, but augmentation has no {operation}: "
                    f"add augmentation.{operation}"
                )
        policy = operations.get("rand_augment")
        in_timm = policy is not None and policy.scale == "timm"
        if in_timm and progressive.magnitude > _MOST_IN_TIMM:
            raise ValueError(
                f"progressive.magnitude is {progressive.magnitude}, but timm's scale "
                f"ends at {_MOST_IN_TIMM}: give less, or "
                "augmentation.rand_augment.scale='efficientnet'"
            )
        of_classifiers = {
            "train_resolution": self.train_resolution,
            "eval_resolution": self.eval_resolution,
            "progressive": progressive.stages > 1,
        }
        for key, is_given in of_classifiers.items():
            if is_given and not isinstance(
                self.task, ClassificationTask | MultilabelTask
            ):
                raise ValueError(
                    f"{key} is given, which classification and multilabel can use, but "
                    f"task.name is {self.task.name!r}: leave it out"
                )
        if progressive.stages > 1 and not given:
            raise ValueError(
                f"progressive.stages is {progressive.stages}, but nothing changes from "
                "stage to stage: give progressive.resolution, dropout_rate, magnitude "
                "or mixup_alpha"
            )

    def _check_batches(self, operations: dict[str, Any]) -> None:
        """Raises ValueError if a batch cannot be mixed or composed as is asked for."""
        mixing = [operations[name] for name in _MIXING if name in operations]
        if sum(o.probability for o in mixing) > 1:
            raise ValueError(
                "augmentation.mixup.probability and augmentation.cutmix.probability "
                f"are {mixing[0].probability} and {mixing[1].probability}, but a pair "
                "of images is mixed in one way: give two that add up to at most 1, "
                "such as 0.5 and 0.5"
            )
        if mixing and self.batch_size % 2:
            raise ValueError(
                f"augmentation has {mixing[0].name}, which mixes pairs, but batch_size "
                f"is {self.batch_size}: give an even one"
            )
        repeated = operations.get("repeated_augmentation")
        if repeated and self.batch_size % repeated.copies:
            raise ValueError(
                f"batch_size is {self.batch_size}, but must be a multiple of "
                f"augmentation.repeated_augmentation.copies, which is {repeated.copies}"
            )
