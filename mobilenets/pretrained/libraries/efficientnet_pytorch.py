"""The models of efficientnet_pytorch 0.7.1: specs, module names, preprocessing.

Its weights were converted from those of the authors of EfficientNet, so it pads as
TensorFlow does. Its example resizes the short side to the resolution and cuts no border
off. The weights of `advprop=True` expect images from -1 to 1; give them that
preprocessing in the folder's network.json.
"""

from mobilenets.networks.spec import ClassifierSpec
from mobilenets.pretrained.libraries.pytorch import pytorch_library
from mobilenets.pretrained.library import (
    IMAGENET,
    Names,
    Place,
    Row,
    block_names,
    models_of,
)

BATCH_NORM = {"bn_momentum": 0.99, "bn_epsilon": 1e-3}
# What `EfficientNet.get_image_size` gives for B0 to B7.
_SIZES = (224, 240, 260, 300, 380, 456, 528, 600)


def names(spec: ClassifierSpec) -> Names:
    """The modules of an EfficientNet."""

    def names_at(place: Place) -> Names:
        there = f"_blocks.{place.number}"
        return {
            "expand": (f"{there}._expand_conv", f"{there}._bn0"),
            "depthwise": (f"{there}._depthwise_conv", f"{there}._bn1"),
            "se/reduce": (f"{there}._se_reduce",),
            "se/expand": (f"{there}._se_expand",),
            "project": (f"{there}._project_conv", f"{there}._bn2"),
        }

    return {
        "stem": ("_conv_stem", "_bn0"),
        "head_conv": ("_conv_head", "_bn1"),
        "logits": ("_fc",),
        **block_names(spec, names_at),
    }


_ROWS = [
    Row(f"efficientnet-b{i}", f"efficientnet_b{i}", {}, size, size, "bicubic", IMAGENET)
    for i, size in enumerate(_SIZES)
]

LIBRARY = pytorch_library(models_of(_ROWS, names, BATCH_NORM, "same"))
