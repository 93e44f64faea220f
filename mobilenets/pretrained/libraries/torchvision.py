"""torchvision's models, as of 0.29: their specs, module names and preprocessing."""

from collections.abc import Callable
from typing import cast

from mobilenets.config.schema import Preprocessing
from mobilenets.networks.architectures.deeplab import get_segmenter
from mobilenets.networks.architectures.ssd import get_detector
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.segmenter import ASPPSpec, SegmenterSpec
from mobilenets.networks.spec import ClassifierSpec
from mobilenets.pretrained.libraries import coco, voc
from mobilenets.pretrained.libraries.pytorch import BATCH_NORM, pytorch_library, resnet
from mobilenets.pretrained.library import (
    IMAGENET,
    Model,
    Names,
    Place,
    Row,
    block_names,
    models_of,
    width,
)


def _mobilenet_v2(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        there = f"features.{place.number + 1}.conv"
        names = {
            layer: _conv_bn(f"{there}.{i}") for i, layer in enumerate(place.layers)
        }
        last = len(place.layers) - 1
        return names | {"project": (f"{there}.{last}", f"{there}.{last + 1}")}

    return {
        "stem": _conv_bn("features.0"),
        "head_conv": _conv_bn(f"features.{len(spec.backbone.blocks) + 1}"),
        "logits": ("classifier.1",),
        **block_names(spec, names_at),
    }


def _mobilenet_v3(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        return _sequence(f"features.{place.number + 1}.block", place)

    return {
        "stem": _conv_bn("features.0"),
        "head_conv": _conv_bn(f"features.{len(spec.backbone.blocks) + 1}"),
        "head_dense": ("classifier.0",),
        "logits": ("classifier.3",),
        **block_names(spec, names_at),
    }


def _efficientnet(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        return _sequence(f"features.{place.stage + 1}.{place.index}.block", place)

    return {
        "stem": _conv_bn("features.0"),
        "head_conv": _conv_bn("features.8"),
        "logits": ("classifier.1",),
        **block_names(spec, names_at),
    }


def _mnasnet(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        # The layers of the first block are among the network's own.
        there = f"layers.{place.stage + 7}.{place.index}." if place.stage else ""
        return {
            "expand": (f"{there}layers.0", f"{there}layers.1"),
            "depthwise": (f"{there}layers.3", f"{there}layers.4"),
            "project": (f"{there}layers.6", f"{there}layers.7"),
        }

    return {
        "stem": ("layers.0", "layers.1"),
        "head_conv": ("layers.14", "layers.15"),
        "logits": ("classifier.1",),
        **block_names(spec, names_at),
    }


def _ssdlite(spec: DetectorSpec) -> Names:
    """The backbone is cut in two behind the expansion of C4's block."""
    expand, _ = spec.features
    cut = int(expand.removeprefix("block").removesuffix("/expand"))

    def names_at(place: Place) -> Names:
        if place.number < cut:
            return _sequence(f"backbone.features.0.{place.number + 1}.block", place)
        there = f"backbone.features.1.{place.number - cut}"
        return _sequence(there if place.number == cut else f"{there}.block", place)

    names = block_names(spec, names_at)
    names[expand] = _conv_bn(f"backbone.features.0.{cut + 1}")
    names["stem"] = _conv_bn("backbone.features.0.0")
    last = len(spec.backbone.blocks) - cut
    names["head_conv"] = _conv_bn(f"backbone.features.1.{last}")
    for i in range(len(spec.extras)):
        for j, layer in enumerate(("reduce", "depthwise", "project")):
            names[f"extra{i}/{layer}"] = _conv_bn(f"backbone.extra.{i}.{j}")
    for i in range(len(spec.anchors)):
        for kind, module in (("box", "regression"), ("class", "classification")):
            there = f"head.{module}_head.module_list.{i}"
            names[f"{kind}_predictor{i}/depthwise"] = _conv_bn(f"{there}.0")
            names[f"{kind}_predictor{i}/output"] = (f"{there}.1",)
    return names


def _lraspp(spec: SegmenterSpec) -> Names:
    return {
        **_mobilenet_v3_of_segmenter(spec),
        "aspp0": _conv_bn("classifier.cbr"),
        "image_pooling": ("classifier.scale.1",),
        "logits": ("classifier.high_classifier",),
        "low_level_logits": ("classifier.low_classifier",),
    }


def _deeplabv3_mobilenet_v3(spec: SegmenterSpec) -> Names:
    return _mobilenet_v3_of_segmenter(spec) | _deeplabv3(spec)


def _deeplabv3_resnet(spec: SegmenterSpec) -> Names:
    names = {
        layer: tuple(f"backbone.{module}" for module in modules)
        for layer, modules in resnet(spec).items()
    }
    return names | _deeplabv3(spec)


def _mobilenet_v3_of_segmenter(spec: SegmenterSpec) -> Names:
    def names_at(place: Place) -> Names:
        return _sequence(f"backbone.{place.number + 1}.block", place)

    return {
        "stem": _conv_bn("backbone.0"),
        "head_conv": _conv_bn(f"backbone.{len(spec.backbone.blocks) + 1}"),
        **block_names(spec, names_at),
    }


def _deeplabv3(spec: SegmenterSpec) -> Names:
    """The two heads; the first module of the pooling is the pooling."""
    rates = cast(ASPPSpec, spec.head).rates
    convs = "classifier.0.convs"
    pooling = f"{convs}.{len(rates) + 1}"
    return {
        **{f"aspp{i}": _conv_bn(f"{convs}.{i}") for i in range(len(rates) + 1)},
        "image_pooling": (f"{pooling}.1", f"{pooling}.2"),
        "concat_projection": _conv_bn("classifier.0.project"),
        "refine": ("classifier.1", "classifier.2"),
        "logits": ("classifier.4",),
        "auxiliary/conv": ("aux_classifier.0", "aux_classifier.1"),
        "auxiliary/logits": ("aux_classifier.4",),
    }


def _sequence(there: str, place: Place) -> Names:
    """The modules of a block that is the sequence of its parts."""
    names: Names = {}
    for i, part in enumerate(place.parts):
        if part == "se":
            names["se/reduce"] = (f"{there}.{i}.fc1",)
            names["se/expand"] = (f"{there}.{i}.fc2",)
        else:
            names[part] = _conv_bn(f"{there}.{i}")
    return names


def _conv_bn(there: str) -> tuple[str, str]:
    return f"{there}.0", f"{there}.1"


# torchvision's momentum of 0.01 is our 0.99, and that of 3e-4 our 0.9997.
_AS_TENSORFLOW = {"bn_momentum": 0.99, "bn_epsilon": 1e-3}
_MNASNET_BATCH_NORM = {"bn_momentum": 0.9997, "bn_epsilon": 1e-5}

# What the columns are: see `Row`.
# fmt: off
_V2: tuple[Row, ...] = (
    Row("mobilenet_v2", "mobilenet_v2", {}, 224, 256, "bilinear", IMAGENET),
)
_V3: tuple[Row, ...] = (
    Row("mobilenet_v3_large", "mobilenet_v3_large", {}, 224, 256, "bilinear", IMAGENET),
    Row("mobilenet_v3_small", "mobilenet_v3_small", {}, 224, 256, "bilinear", IMAGENET),
)
_B0_TO_B4: tuple[Row, ...] = (
    Row("efficientnet_b0", "efficientnet_b0", {}, 224, 256, "bicubic", IMAGENET),
    Row("efficientnet_b1", "efficientnet_b1", {}, 240, 256, "bicubic", IMAGENET),
    Row("efficientnet_b2", "efficientnet_b2", {}, 288, 288, "bicubic", IMAGENET),
    Row("efficientnet_b3", "efficientnet_b3", {}, 300, 320, "bicubic", IMAGENET),
    Row("efficientnet_b4", "efficientnet_b4", {}, 380, 384, "bicubic", IMAGENET),
)
_B5_TO_B7: tuple[Row, ...] = (
    Row("efficientnet_b5", "efficientnet_b5", {}, 456, 456, "bicubic", IMAGENET),
    Row("efficientnet_b6", "efficientnet_b6", {}, 528, 528, "bicubic", IMAGENET),
    Row("efficientnet_b7", "efficientnet_b7", {}, 600, 600, "bicubic", IMAGENET),
)
_MNASNET: tuple[Row, ...] = (
    Row("mnasnet0_5", "mnasnet_b1", width(0.5), 224, 256, "bilinear", IMAGENET),
    Row("mnasnet0_75", "mnasnet_b1", width(0.75), 224, 232, "bilinear", IMAGENET),
    Row("mnasnet1_0", "mnasnet_b1", {}, 224, 256, "bilinear", IMAGENET),
    Row("mnasnet1_3", "mnasnet_b1", width(1.3), 224, 232, "bilinear", IMAGENET),
)
_RESNET: tuple[Row, ...] = (
    Row("resnet50", "resnet50", {}, 224, 256, "bilinear", IMAGENET),
    Row("resnet101", "resnet101", {}, 224, 256, "bilinear", IMAGENET),
    Row("resnet152", "resnet152", {}, 224, 256, "bilinear", IMAGENET),
)
# fmt: on

_SSDLITE = Model(
    get_detector("ssdlite320_mobilenet_v3_large"),
    _ssdlite,
    # The default mean and deviation make -1 to 1 of the pixels.
    Preprocessing(
        resize="squash", crop_fraction=1.0, interpolation="bilinear_no_antialias"
    ),
    class_names=coco.CLASS_NAMES,
)


def _segmenter(name: str, names: Callable[[SegmenterSpec], Names]) -> Model:
    """With the preset's short side of 520 pixels."""
    preprocessing = Preprocessing(
        resize="short_side",
        crop_fraction=1.0,
        mean=IMAGENET["mean"],
        std=IMAGENET["std"],
    )
    spec = get_segmenter(f"{name}_torchvision")
    return Model(spec, names, preprocessing, class_names=voc.CLASS_NAMES)


_SEGMENTERS = {
    "lraspp_mobilenet_v3_large": _lraspp,
    "deeplabv3_mobilenet_v3_large": _deeplabv3_mobilenet_v3,
    "deeplabv3_resnet50": _deeplabv3_resnet,
}

LIBRARY = pytorch_library(
    models_of(_V2, _mobilenet_v2, BATCH_NORM, "symmetric")
    | models_of(_V3, _mobilenet_v3, _AS_TENSORFLOW, "symmetric")
    | models_of(_B0_TO_B4, _efficientnet, BATCH_NORM, "symmetric")
    | models_of(_B5_TO_B7, _efficientnet, _AS_TENSORFLOW, "symmetric")
    | models_of(_MNASNET, _mnasnet, _MNASNET_BATCH_NORM, "symmetric")
    | models_of(_RESNET, resnet, BATCH_NORM, "symmetric")
    | {"ssdlite320_mobilenet_v3_large": _SSDLITE}
    | {name: _segmenter(name, names) for name, names in _SEGMENTERS.items()}
)
