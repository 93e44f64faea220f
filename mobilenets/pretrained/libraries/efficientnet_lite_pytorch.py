"""The models of efficientnet_lite_pytorch 0.1.0: specs, module names, preprocessing.

Its weights were converted from those of the TPU models.
"""

from mobilenets.pretrained.libraries.efficientnet_pytorch import BATCH_NORM, names
from mobilenets.pretrained.libraries.pytorch import pytorch_library
from mobilenets.pretrained.library import Row, models_of

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

LIBRARY = pytorch_library(models_of(_ROWS, names, BATCH_NORM, "same"))
