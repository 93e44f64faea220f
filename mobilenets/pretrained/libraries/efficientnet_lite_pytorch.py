"""The models of efficientnet_lite_pytorch 0.1.0: specs, module names, preprocessing.

Its weights were converted from those of the TPU models.
"""

from mobilenets.networks.spec import ClassifierSpec
from mobilenets.pretrained.libraries.pytorch import pytorch_library
from mobilenets.pretrained.library import Names, Place, Row, block_names, models_of


def _names(spec: ClassifierSpec) -> Names:
    def names_at(place: Place) -> Names:
        there = f"_blocks.{place.number}"
        return {
            "expand": (f"{there}._expand_conv", f"{there}._bn0"),
            "depthwise": (f"{there}._depthwise_conv", f"{there}._bn1"),
            "project": (f"{there}._project_conv", f"{there}._bn2"),
        }

    return {
        "stem": ("_conv_stem", "_bn0"),
        "head_conv": ("_conv_head", "_bn1"),
        "logits": ("_fc",),
        **block_names(spec, names_at),
    }


_NORMALIZATION = {"mean": (127.0, 127.0, 127.0), "std": (128.0, 128.0, 128.0)}

# What the columns are: see `Row`. The short side is size / 0.875.
# fmt: off
_ROWS: tuple[Row, ...] = (
    Row("efficientnet-lite0", "efficientnet_lite0", {}, 224, 256, "bicubic",
        _NORMALIZATION),
    Row("efficientnet-lite1", "efficientnet_lite1", {}, 240, 274, "bicubic",
        _NORMALIZATION),
    Row("efficientnet-lite2", "efficientnet_lite2", {}, 260, 297, "bicubic",
        _NORMALIZATION),
)
# fmt: on

LIBRARY = pytorch_library(
    models_of(_ROWS, _names, {"bn_momentum": 0.99, "bn_epsilon": 1e-3}, "same")
)
