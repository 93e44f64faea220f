r"""LR-ASPP and R-ASPP on Cityscapes, as MobileNetV3's paper reports them.

    mobilenets prepare cityscapes --manual-dir FOLDER_OF_THE_DOWNLOADED_FILES
    python train.py --config configs/lraspp_cityscapes.py:backbone=mobilenet_v3_large \
        --workdir runs/cityscapes
    python train.py --config configs/lraspp_cityscapes.py:smoke --workdir runs/smoke

MobileNetV3, arXiv:1905.02244, Table 7, mIoU of the validation images at 1024 x 2048:

    backbone=mobilenet_v2                     LR-ASPP   72.74
    backbone=mobilenet_v2,head=raspp          R-ASPP    72.84
    backbone=mobilenet_v3_large               LR-ASPP   72.36
    backbone=mobilenet_v3_large,head=raspp    R-ASPP    72.64
    backbone=mobilenet_v3_small               LR-ASPP   68.38

Others of its rows: --config.model.filters=256, --config.model.reduced=False (or True),
--config.model.width_multiplier=0.5, --config.model.output_stride=32 (Table 8).

Trained from scratch on the fine annotations, by the protocol of DeepLabv3 says the
paper, and no more: crops of 769 pixels after a random scale, 90,000 steps, "poly".
Batch size, learning rate and weight decay are here those of DeepLab on VOC. All
photographs have 1024 x 2048 pixels, and are evaluated as they are: the network pads
them to 1025 x 2049, as DeepLab does. If the memory is too small, give a smaller batch.
Not run here.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults
from mobilenets.errors import unknown

IMAGES = 2975  # of the fine annotations to train
STEPS, BATCH = 90_000, 16

BACKBONES = (
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
)
HEADS = ("lraspp", "raspp")


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the arguments are `backbone`, `head` and `smoke`."""
    arg = recipes.parse_arg(
        arg, backbone="mobilenet_v3_large", head="lraspp", smoke=False
    )
    if arg.backbone not in BACKBONES:
        raise unknown("backbone", arg.backbone, BACKBONES)
    if arg.head not in HEADS:
        raise unknown("head", arg.head, HEADS)
    config = defaults()
    config.task = dict(name="segmentation")
    config.model = dict(name=f"{arg.head}_{arg.backbone}")
    config.dataset = dict(name="cityscapes", num_workers=8)
    config.preprocessing.resize = "keep"
    config.preprocessing.crop_fraction = 1.0
    recipes.deeplab(config, batch_size=BATCH, steps=STEPS, images=IMAGES, rate=0.007)
    if arg.smoke:
        recipes.smoke_segmentation(config)
    return config
