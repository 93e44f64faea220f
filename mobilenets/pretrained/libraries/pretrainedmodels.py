"""The SE-ResNets of pretrainedmodels 0.7.4, Cadene's, converted from Caffe.

timm has them, and two smaller ones, as "legacy_seresnet50" and so on. They have the
stride of a stage in the first convolution, as the paper's. Their max pooling has no
padding and takes what is left at the bottom and right: as "same" on maps of an even
size. At resolutions that are no multiple of 4 the logits may differ.
"""

import dataclasses
from collections.abc import Iterable
from typing import cast

from mobilenets.networks.spec import ClassifierSpec, with_backbone
from mobilenets.pretrained.libraries.pytorch import BATCH_NORM, pytorch_library, resnet
from mobilenets.pretrained.library import IMAGENET, Model, Names, Row, models_of


def _names(spec: ClassifierSpec) -> Names:
    """As those of a ResNet, but for stem, squeeze-and-excitation and logits."""
    names = {
        layer: tuple(module.replace(".se.", ".se_module.") for module in modules)
        for layer, modules in resnet(spec).items()
    }
    return names | {"stem": ("layer0.conv1", "layer0.bn1"), "logits": ("last_linear",)}


def models(rows: Iterable[Row]) -> dict[str, Model]:
    """The models of a table by their names."""
    made = models_of(rows, _names, BATCH_NORM, "symmetric")
    return {
        name: with_spec(model, cast(ClassifierSpec, model.spec))
        for name, model in made.items()
    }


def with_spec(model: Model, spec: ClassifierSpec) -> Model:
    """The model with another network, whose max pooling pads as theirs."""
    spec = with_backbone(spec, stem_max_pool="same")
    return dataclasses.replace(model, spec=spec)


# What the columns are: see `Row`.
# fmt: off
_ROWS: tuple[Row, ...] = (
    Row("se_resnet50", "se_resnet50", {}, 224, 256, "bilinear", IMAGENET),
    Row("se_resnet101", "se_resnet101", {}, 224, 256, "bilinear", IMAGENET),
    Row("se_resnet152", "se_resnet152", {}, 224, 256, "bilinear", IMAGENET),
)
# fmt: on

LIBRARY = pytorch_library(models(_ROWS))
