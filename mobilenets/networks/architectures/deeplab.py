"""DeepLabv3, R-ASPP and LR-ASPP on our backbones, as the papers and torchvision do.

DeepLabv3: Chen et al. 2017, arXiv:1706.05587. R-ASPP: MobileNetV2, arXiv:1801.04381,
Sec. 6.3. LR-ASPP: MobileNetV3, arXiv:1905.02244, Sec. 6.4. What the papers leave open
is that of TensorFlow's DeepLab, from which their results come.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from mobilenets.errors import UserError, unknown
from mobilenets.networks.architectures import get_spec, replace
from mobilenets.networks.architectures.mobilenet_v3 import reduce_last_block
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.segmenter import (
    ASPPSpec,
    AuxiliarySpec,
    LRASPPSpec,
    SegmenterSpec,
)
from mobilenets.networks.spec import (
    BackboneSpec,
    BlockSpec,
    ClassifierSpec,
    backbone_of,
    with_output_stride,
)

VOC_CLASSES = 21  # of PASCAL VOC, the background included
CITYSCAPES_CLASSES = 19
# Pixels of a training image. They are 8 k + 1, so that the centres of the corner pixels
# of all maps are at the same place.
VOC_CROP, CITYSCAPES_CROP = 513, 769

RATES = (6, 12, 18)  # at output stride 16: DeepLabv3, Sec. 4
DROPOUT_RATE = 0.1
# The stride of LR-ASPP's pooling in pixels of the image, (16, 20) at output stride 16:
# MobileNetV3, Fig. 10.
POOLING_STRIDE = (256, 320)
LOW_LEVEL_STRIDE = 8  # output stride of LR-ASPP's finer map

_TENSORFLOW = {"bn_momentum": 0.9997, "bn_epsilon": 1e-5, "resizing": "align_corners"}


def deeplabv3(
    network: BackboneSpec | ClassifierSpec, output_stride: int = 16, filters: int = 256
) -> SegmenterSpec:
    """DeepLabv3 on any backbone, of MobileNetV2 without the last convolution.

    Args:
      network: whose backbone is taken, before `with_output_stride`.
      output_stride: pixels of the image for a pixel of the last map.
      filters: of each convolution of the head.

    Raises:
      UserError: the backbone has no such output stride.

    >>> from mobilenets import get_spec
    >>> deeplabv3(get_spec("mobilenet_v2"), output_stride=8).head.rates
    (12, 24, 36)
    """
    # Half the stride, twice the rates: Sec. 4.
    rates = tuple(rate * 16 // output_stride for rate in RATES)
    head = ASPPSpec(filters, rates, DROPOUT_RATE)
    return _segmenter("deeplabv3", network, output_stride, head)


def raspp(
    network: BackboneSpec | ClassifierSpec, output_stride: int = 16, filters: int = 256
) -> SegmenterSpec:
    """R-ASPP on any backbone: `deeplabv3` without the dilated convolutions."""
    head = ASPPSpec(filters, (), DROPOUT_RATE)
    return _segmenter("raspp", network, output_stride, head)


def lraspp(
    network: BackboneSpec | ClassifierSpec, output_stride: int = 16, filters: int = 128
) -> SegmenterSpec:
    """LR-ASPP on any backbone, as `deeplabv3`.

    Raises:
      UserError: the backbone has no such output stride, or no map at stride 8.

    >>> from mobilenets import get_spec
    >>> lraspp(get_spec("mobilenet_v3_large")).head.low_level
    'block5/depthwise'
    """
    vertical, horizontal = (max(1, s // output_stride) for s in POOLING_STRIDE)
    head = LRASPPSpec(
        filters,
        low_level=_low_level(backbone_of(network)),
        gate="hard_sigmoid",
        pooling_stride=(vertical, horizontal),
    )
    return _segmenter("lraspp", network, output_stride, head)


HEADS = {"lraspp": lraspp, "raspp": raspp, "deeplabv3": deeplabv3}


def segmenter_on(
    network: BackboneSpec | ClassifierSpec | SegmenterSpec | DetectorSpec,
    **options: Any,
) -> SegmenterSpec:
    """The segmenter that starts from the weights of a network.

    Args:
      network: a segmenter, whose head is kept; of any other the backbone is taken.
      **options: `output_stride`, not above the network's own; and, unless it is a
        segmenter, `head`, one of `HEADS` and "lraspp" by default, and its `filters`.

    Raises:
      UserError: an option has another value, or is given in vain.

    >>> from mobilenets import get_spec
    >>> coarse = segmenter_on(get_spec("mobilenet_v2"), head="deeplabv3")
    >>> segmenter_on(coarse, output_stride=8).head.rates
    (12, 24, 36)
    """
    _check_choices("model", options)
    if isinstance(network, SegmenterSpec):
        for key in ("head", "filters"):
            if key in options:
                raise UserError(
                    f"model.{key} is given, but the weights are a segmenter and have a "
                    "head: leave it out."
                )
        return _finer(network, options.get("output_stride"))
    head = options.pop("head", "lraspp")
    if head not in HEADS:
        raise unknown("model.head", str(head), HEADS)
    filters = options.get("filters", 1)
    if not isinstance(filters, int) or isinstance(filters, bool) or filters < 1:
        raise UserError(
            f"model.filters must be a whole number from 1 on, but is {filters!r}."
        )
    return HEADS[head](backbone_of(network), **options)


def _finer(spec: SegmenterSpec, output_stride: int | None) -> SegmenterSpec:
    """The segmenter with a finer last map, which each filter sees as before."""
    before = spec.backbone.output_stride
    if output_stride in (None, before):
        return spec
    backbone = with_output_stride(spec.backbone, output_stride)
    head = spec.head
    if isinstance(head, ASPPSpec):
        rates = tuple(rate * before // output_stride for rate in head.rates)
        head = dataclasses.replace(head, rates=rates)
    elif head.pooling_stride:
        vertical, horizontal = (
            n * before // output_stride for n in head.pooling_stride
        )
        head = dataclasses.replace(head, pooling_stride=(vertical, horizontal))
    return dataclasses.replace(spec, backbone=backbone, head=head)


def _segmenter(
    name: str,
    network: BackboneSpec | ClassifierSpec,
    output_stride: int,
    head: ASPPSpec | LRASPPSpec,
) -> SegmenterSpec:
    backbone = with_output_stride(backbone_of(network), output_stride)
    if backbone.name == "mobilenet_v2":  # without the last convolution: Sec. 6.3
        backbone = dataclasses.replace(backbone, head_conv_channels=0)
    return SegmenterSpec(f"{name}_{backbone.name}", backbone, head, **_TENSORFLOW)


def _low_level(backbone: BackboneSpec) -> str:
    """The last map with many channels before the resolution falls below 1 / 8."""
    stride, last = backbone.stem_output_stride, None
    for i, block in enumerate(backbone.blocks):
        stride *= block.stride
        if stride == LOW_LEVEL_STRIDE:
            last = i
    if last is None:
        raise UserError(
            f"{backbone.name} has no map at output stride {LOW_LEVEL_STRIDE}, which "
            "LR-ASPP reads beside the last one."
        )
    inside = "/depthwise" if isinstance(backbone.blocks[last], BlockSpec) else ""
    return f"block{last}{inside}"


def _published(
    make: Callable[..., SegmenterSpec],
    resolution: int,
    architecture: str,
    output_stride: int = 16,
    filters: int = 256,
    reduced: bool = False,
    width_multiplier: float = 1.0,
) -> SegmenterSpec:
    """One of `HEADS` on a network by name; see `get_segmenter`."""
    spec = get_spec(
        architecture, resolution=resolution, width_multiplier=width_multiplier
    )
    backbone = reduce_last_block(spec.backbone) if reduced else spec.backbone
    return make(backbone, output_stride, filters)


# Of torchvision's heads. Its momentum of 0.1 is our 0.9.
_TORCHVISION = {"bn_momentum": 0.9, "bn_epsilon": 1e-5, "resizing": "half_pixel"}
_TORCHVISION_PIXELS = 520
_TORCHVISION_RATES = (12, 24, 36)


def _torchvision_mobilenet_v3() -> BackboneSpec:
    """Its MobileNetV3-Large at output stride 16.

    Unlike by `with_output_stride` the block that has lost its stride is dilated itself.
    """
    spec = get_spec(
        "mobilenet_v3_large", resolution=_TORCHVISION_PIXELS, padding="symmetric"
    )
    strided = max(i for i, b in enumerate(spec.backbone.blocks) if b.stride > 1)
    backbone = with_output_stride(spec.backbone, 16)
    blocks = list(backbone.blocks)
    blocks[strided] = dataclasses.replace(blocks[strided], dilation=2)
    return dataclasses.replace(backbone, blocks=tuple(blocks))


def _torchvision_lraspp() -> SegmenterSpec:
    head = LRASPPSpec(
        filters=128,
        low_level="block3",
        gate="sigmoid",
        pooling_stride=None,
    )
    return SegmenterSpec(
        "lraspp_mobilenet_v3_large_torchvision",
        _torchvision_mobilenet_v3(),
        head,
        **_TORCHVISION,
    )


def _torchvision_deeplabv3(
    backbone: Literal["mobilenet_v3_large", "resnet50"],
) -> SegmenterSpec:
    if backbone == "resnet50":
        network = get_spec(
            "resnet50",
            resolution=_TORCHVISION_PIXELS,
            padding="symmetric",
            bn_momentum=0.9,
            bn_epsilon=1e-5,
        )
        network = with_output_stride(network.backbone, 8)
        auxiliary = AuxiliarySpec("block12", 1024 // 4, DROPOUT_RATE)
    else:
        network = _torchvision_mobilenet_v3()
        auxiliary = AuxiliarySpec("block3", 40 // 4, DROPOUT_RATE)
    return SegmenterSpec(
        f"deeplabv3_{backbone}_torchvision",
        network,
        ASPPSpec(256, _TORCHVISION_RATES, dropout_rate=0.5, refined=True),
        auxiliary=auxiliary,
        **_TORCHVISION,
    )


_BACKBONES = (
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
)

# Without arguments each is the published one, or one as it would be.
SEGMENTERS: dict[str, Callable[..., SegmenterSpec]] = {
    f"{head}_{backbone}": partial(make, backbone)
    for head, make in (
        ("deeplabv3", partial(_published, deeplabv3, VOC_CROP)),
        ("raspp", partial(_published, raspp, CITYSCAPES_CROP)),
        (
            "lraspp",
            partial(_published, lraspp, CITYSCAPES_CROP, filters=128, reduced=True),
        ),
    )
    for backbone in _BACKBONES
} | {
    "lraspp_mobilenet_v3_large_torchvision": _torchvision_lraspp,
    "deeplabv3_mobilenet_v3_large_torchvision": partial(
        _torchvision_deeplabv3, "mobilenet_v3_large"
    ),
    "deeplabv3_resnet50_torchvision": partial(_torchvision_deeplabv3, "resnet50"),
}

_VOC = "VOC 2012 val, 1801.04381, Table 7"
_CITYSCAPES_VAL = "Cityscapes val, 1905.02244, Table 7"
_TORCHVISION_SOURCE = "COCO val2017 with VOC's classes, torchvision"

# Mean intersection over union in percent, of one scale, and where it is from.
PUBLISHED_MIOU: dict[str, tuple[float, str]] = {
    "deeplabv3_mobilenet_v1": (75.29, _VOC),
    "deeplabv3_mobilenet_v2": (75.70, _VOC),
    "raspp_mobilenet_v2": (72.84, _CITYSCAPES_VAL),
    "raspp_mobilenet_v3_large": (72.64, _CITYSCAPES_VAL),
    "lraspp_mobilenet_v2": (72.74, _CITYSCAPES_VAL),
    "lraspp_mobilenet_v3_large": (72.36, _CITYSCAPES_VAL),
    "lraspp_mobilenet_v3_small": (68.38, _CITYSCAPES_VAL),
    "lraspp_mobilenet_v3_large_torchvision": (57.9, _TORCHVISION_SOURCE),
    "deeplabv3_mobilenet_v3_large_torchvision": (60.3, _TORCHVISION_SOURCE),
    "deeplabv3_resnet50_torchvision": (66.4, _TORCHVISION_SOURCE),
}


def published_classes(name: str) -> int:
    """The classes of the data on which a segmenter's source reports it.

    Args:
      name: a key of `SEGMENTERS`.
    """
    is_of_cityscapes = name.startswith(("raspp", "lraspp"))
    if is_of_cityscapes and not name.endswith("torchvision"):
        return CITYSCAPES_CLASSES
    return VOC_CLASSES


_CHOICES = {"output_stride": (8, 16, 32), "reduced": (False, True)}


def get_segmenter(name: str, **overrides: Any) -> SegmenterSpec:
    """The segmenter of that name. Without overrides it is the published one.

    Args:
      name: a key of `SEGMENTERS`.
      **overrides: but for torchvision's `output_stride`, 8, 16 or 32; `filters` of the
        head; `reduced`, whether the last stage has half the channels, see
        `reduce_last_block`; `width_multiplier`. For all those of
        `architectures.replace`, such as `resolution`, the pixels of a training image.

    Raises:
      UserError: the name or a key is unknown, or a value is out of its range.

    >>> get_segmenter("lraspp_mobilenet_v3_large", filters=256).head.filters
    256
    """
    if name not in SEGMENTERS:
        raise unknown("segmenter", str(name), SEGMENTERS)
    _check_choices(name, overrides)
    make = SEGMENTERS[name]
    arguments = inspect.signature(make).parameters
    spec = make(**{k: v for k, v in overrides.items() if k in arguments})
    return replace(spec, **{k: v for k, v in overrides.items() if k not in arguments})


def _check_choices(name: str, options: Mapping[str, Any]) -> None:
    """Raises UserError if an option is none of those allowed."""
    for key, allowed in _CHOICES.items():
        value = options.get(key, allowed[0])
        if (type(value), value) not in [(type(a), a) for a in allowed]:
            raise UserError(
                f"{name}: {key} must be {' or '.join(map(str, allowed))}, but is "
                f"{value!r}."
            )
