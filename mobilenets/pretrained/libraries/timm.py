"""timm's models, as of 1.0.31: their specs, module names and preprocessing.

A name may have several sets of weights; the preprocessing is that of its default one,
or of its configuration where it has none.
"""

import dataclasses
from typing import Literal

from mobilenets.networks.architectures import get_spec
from mobilenets.networks.architectures.resnet import se_resnet_of_basic
from mobilenets.networks.spec import ClassifierSpec, with_backbone
from mobilenets.pretrained.libraries import pretrainedmodels
from mobilenets.pretrained.libraries.pytorch import BATCH_NORM, pytorch_library, resnet
from mobilenets.pretrained.library import (
    IMAGENET,
    MINUS_ONE_TO_ONE,
    Interpolation,
    Model,
    Names,
    Place,
    Row,
    block_names,
    models_of,
    places,
    width,
)


def _efficientnet(spec: ClassifierSpec) -> Names:
    """The modules of MobileNetV1 and V2, MnasNet and EfficientNet."""
    return {
        "stem": ("conv_stem", "bn1"),
        "head_conv": ("conv_head", "bn2"),
        "logits": ("classifier",),
        **block_names(spec, _block),
    }


def _mobilenet_v3(spec: ClassifierSpec) -> Names:
    """The last convolution is a stage of its own; "conv_head" follows the pooling."""
    last = f"blocks.{places(spec)[-1].stage + 1}.0"
    return {
        "stem": ("conv_stem", "bn1"),
        "head_conv": (f"{last}.conv", f"{last}.bn1"),
        "head_dense": ("conv_head",),
        "logits": ("classifier",),
        **block_names(spec, _block),
    }


def _block(place: Place) -> Names:
    there = f"blocks.{place.stage}.{place.index}"
    convolutions = {
        "expand": "conv_pw",
        "depthwise": "conv_dw",
        "project": "conv_pwl" if "expand" in place.layers else "conv_pw",
    }
    names: Names = {
        "se/reduce": (f"{there}.se.conv_reduce",),
        "se/expand": (f"{there}.se.conv_expand",),
    }
    present = [part for part in place.parts if part in convolutions]
    for i, part in enumerate(present, start=1):
        names[part] = (f"{there}.{convolutions[part]}", f"{there}.bn{i}")
    return names


# Models that were trained with TensorFlow pad as it does; timm gives them its own
# epsilon and keeps PyTorch's momentum.
_TENSORFLOW_BATCH_NORM = BATCH_NORM | {"bn_epsilon": 1e-3}

# What the columns are: see `Row`. timm has a crop fraction instead of the short side,
# which is the resolution divided by it, cut to an integer.
# fmt: off
_EFFICIENTNET: tuple[Row, ...] = (
    Row("mobilenetv1_100", "mobilenet_v1", {}, 224, 256, "bicubic", MINUS_ONE_TO_ONE),
    Row("mobilenetv1_125", "mobilenet_v1", width(1.25), 224, 248, "bicubic",
        MINUS_ONE_TO_ONE),
    Row("mobilenetv2_035", "mobilenet_v2", width(0.35), 224, 256, "bicubic", IMAGENET),
    Row("mobilenetv2_050", "mobilenet_v2", width(0.5), 224, 256, "bicubic", IMAGENET),
    Row("mobilenetv2_075", "mobilenet_v2", width(0.75), 224, 256, "bicubic", IMAGENET),
    Row("mobilenetv2_100", "mobilenet_v2", {}, 224, 256, "bicubic", IMAGENET),
    Row("mobilenetv2_140", "mobilenet_v2", width(1.4), 224, 256, "bicubic", IMAGENET),
    Row("mnasnet_050", "mnasnet_b1", width(0.5), 224, 256, "bicubic", IMAGENET),
    Row("mnasnet_075", "mnasnet_b1", width(0.75), 224, 256, "bicubic", IMAGENET),
    Row("mnasnet_100", "mnasnet_b1", {}, 224, 256, "bicubic", IMAGENET),
    Row("mnasnet_140", "mnasnet_b1", width(1.4), 224, 256, "bicubic", IMAGENET),
    Row("semnasnet_050", "mnasnet_a1", width(0.5), 224, 256, "bicubic", IMAGENET),
    Row("semnasnet_075", "mnasnet_a1", width(0.75), 224, 256, "bicubic", IMAGENET),
    Row("semnasnet_100", "mnasnet_a1", {}, 224, 256, "bicubic", IMAGENET),
    Row("semnasnet_140", "mnasnet_a1", width(1.4), 224, 256, "bicubic", IMAGENET),
    Row("efficientnet_b0", "efficientnet_b0", {}, 224, 256, "bicubic", IMAGENET),
    Row("efficientnet_b1", "efficientnet_b1", {}, 240, 266, "bicubic",
        MINUS_ONE_TO_ONE),
    Row("efficientnet_b2", "efficientnet_b2", {}, 256, 292, "bicubic", IMAGENET),
    Row("efficientnet_b3", "efficientnet_b3", {}, 288, 329, "bicubic", IMAGENET),
    Row("efficientnet_b4", "efficientnet_b4", {}, 320, 365, "bicubic", IMAGENET),
    Row("efficientnet_b5", "efficientnet_b5", {}, 448, 448, "bicubic", IMAGENET),
    Row("efficientnet_b6", "efficientnet_b6", {}, 528, 560, "bicubic", IMAGENET),
    Row("efficientnet_b7", "efficientnet_b7", {}, 600, 632, "bicubic", IMAGENET),
    Row("efficientnet_lite0", "efficientnet_lite0", {}, 224, 256, "bicubic", IMAGENET),
    Row("efficientnet_lite1", "efficientnet_lite1", {}, 240, 272, "bicubic", IMAGENET),
    Row("efficientnet_lite2", "efficientnet_lite2", {}, 260, 292, "bicubic", IMAGENET),
    Row("efficientnet_lite3", "efficientnet_lite3", {}, 300, 331, "bicubic", IMAGENET),
    Row("efficientnet_lite4", "efficientnet_lite4", {}, 380, 412, "bicubic", IMAGENET),
)
_TENSORFLOW_EFFICIENTNET: tuple[Row, ...] = (
    Row("tf_efficientnet_b0", "efficientnet_b0", {}, 224, 256, "bicubic", IMAGENET),
    Row("tf_efficientnet_b1", "efficientnet_b1", {}, 240, 272, "bicubic", IMAGENET),
    Row("tf_efficientnet_b2", "efficientnet_b2", {}, 260, 292, "bicubic", IMAGENET),
    Row("tf_efficientnet_b3", "efficientnet_b3", {}, 300, 331, "bicubic", IMAGENET),
    Row("tf_efficientnet_b4", "efficientnet_b4", {}, 380, 412, "bicubic", IMAGENET),
    Row("tf_efficientnet_b5", "efficientnet_b5", {}, 456, 488, "bicubic", IMAGENET),
    Row("tf_efficientnet_b6", "efficientnet_b6", {}, 528, 560, "bicubic", IMAGENET),
    Row("tf_efficientnet_b7", "efficientnet_b7", {}, 600, 632, "bicubic", IMAGENET),
    Row("tf_efficientnet_lite0", "efficientnet_lite0", {}, 224, 256, "bicubic",
        MINUS_ONE_TO_ONE),
    Row("tf_efficientnet_lite1", "efficientnet_lite1", {}, 240, 272, "bicubic",
        MINUS_ONE_TO_ONE),
    Row("tf_efficientnet_lite2", "efficientnet_lite2", {}, 260, 292, "bicubic",
        MINUS_ONE_TO_ONE),
    Row("tf_efficientnet_lite3", "efficientnet_lite3", {}, 300, 331, "bilinear",
        MINUS_ONE_TO_ONE),
    Row("tf_efficientnet_lite4", "efficientnet_lite4", {}, 380, 413, "bilinear",
        MINUS_ONE_TO_ONE),
)
_V3: tuple[Row, ...] = (
    Row("mobilenetv3_large_075", "mobilenet_v3_large", width(0.75), 224, 256,
        "bilinear", IMAGENET),
    Row("mobilenetv3_large_100", "mobilenet_v3_large", {}, 224, 256, "bicubic",
        IMAGENET),
    Row("mobilenetv3_small_050", "mobilenet_v3_small", width(0.5), 224, 256,
        "bicubic", IMAGENET),
    Row("mobilenetv3_small_075", "mobilenet_v3_small", width(0.75), 224, 256,
        "bicubic", IMAGENET),
    Row("mobilenetv3_small_100", "mobilenet_v3_small", {}, 224, 256, "bicubic",
        IMAGENET),
)
_TENSORFLOW_V3: tuple[Row, ...] = (
    Row("tf_mobilenetv3_large_075", "mobilenet_v3_large", width(0.75), 224, 256,
        "bilinear", MINUS_ONE_TO_ONE),
    Row("tf_mobilenetv3_large_100", "mobilenet_v3_large", {}, 224, 256, "bilinear",
        MINUS_ONE_TO_ONE),
    Row("tf_mobilenetv3_large_minimal_100", "mobilenet_v3_large_minimalistic", {}, 224,
        256, "bilinear", MINUS_ONE_TO_ONE),
    Row("tf_mobilenetv3_small_075", "mobilenet_v3_small", width(0.75), 224, 256,
        "bilinear", MINUS_ONE_TO_ONE),
    Row("tf_mobilenetv3_small_100", "mobilenet_v3_small", {}, 224, 256, "bilinear",
        MINUS_ONE_TO_ONE),
    Row("tf_mobilenetv3_small_minimal_100", "mobilenet_v3_small_minimalistic", {}, 224,
        256, "bilinear", MINUS_ONE_TO_ONE),
)
_RESNET: tuple[Row, ...] = (
    Row("resnet50", "resnet50", {}, 224, 235, "bicubic", IMAGENET),
    Row("resnet101", "resnet101", {}, 224, 235, "bicubic", IMAGENET),
    Row("resnet152", "resnet152", {}, 224, 235, "bicubic", IMAGENET),
    Row("seresnet50", "se_resnet50", {"version": "v1.5"}, 224, 235, "bicubic",
        IMAGENET),
    Row("seresnet101", "se_resnet101", {"version": "v1.5"}, 224, 256, "bicubic",
        IMAGENET),
    Row("seresnet152", "se_resnet152", {"version": "v1.5"}, 224, 256, "bicubic",
        IMAGENET),
)
_LEGACY: tuple[Row, ...] = (
    Row("legacy_seresnet50", "se_resnet50", {}, 224, 256, "bilinear", IMAGENET),
    Row("legacy_seresnet101", "se_resnet101", {}, 224, 256, "bilinear", IMAGENET),
    Row("legacy_seresnet152", "se_resnet152", {}, 224, 256, "bilinear", IMAGENET),
)
# fmt: on


def _squashed(model: Model) -> Model:
    """The model if its images are not cropped but squashed to a square."""
    preprocessing = model.preprocessing.model_copy(update={"resize": "squash"})
    return dataclasses.replace(model, preprocessing=preprocessing)


def _with_interpolation(model: Model, interpolation: Interpolation) -> Model:
    changed = {"interpolation": interpolation}
    preprocessing = model.preprocessing.model_copy(update=changed)
    return dataclasses.replace(model, preprocessing=preprocessing)


def _with_whole_stem(model: Model, channels: int) -> Model:
    """The model if its stem is not narrowed; its first block has no expansion.

    So narrow, two stages have as many channels. timm counts them as two all the same.
    """
    first, *others = model.spec.backbone.blocks
    first = dataclasses.replace(first, in_channels=channels, expanded_channels=channels)
    spec = with_backbone(model.spec, stem_channels=channels, blocks=(first, *others))
    whole = get_spec(spec.name)
    return dataclasses.replace(model, spec=spec, names=lambda _: model.names(whole))


_MODELS = (
    models_of(_EFFICIENTNET, _efficientnet, BATCH_NORM, "symmetric")
    | models_of(_TENSORFLOW_EFFICIENTNET, _efficientnet, _TENSORFLOW_BATCH_NORM, "same")
    | models_of(_V3, _mobilenet_v3, BATCH_NORM, "symmetric")
    | models_of(_TENSORFLOW_V3, _mobilenet_v3, _TENSORFLOW_BATCH_NORM, "same")
    | models_of(_RESNET, resnet, BATCH_NORM, "symmetric")
    | pretrainedmodels.models(_LEGACY)
)
_BASIC: tuple[tuple[Literal[18, 34], Interpolation], ...] = (
    (18, "bicubic"),
    (34, "bilinear"),
)
_LEGACY_OF_BASIC = {
    f"legacy_seresnet{layers}": pretrainedmodels.with_spec(
        _with_interpolation(_MODELS["legacy_seresnet50"], interpolation),
        se_resnet_of_basic(layers),
    )
    for layers, interpolation in _BASIC
}
_NARROW = "mobilenetv3_small_050"
LIBRARY = pytorch_library(
    _MODELS
    | _LEGACY_OF_BASIC
    | {
        "efficientnet_b5": _squashed(_MODELS["efficientnet_b5"]),
        _NARROW: _with_whole_stem(_MODELS[_NARROW], channels=16),
    }
)
