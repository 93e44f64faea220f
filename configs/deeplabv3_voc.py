r"""DeepLabv3 and R-ASPP on Pascal VOC 2012, as MobileNetV2's paper reports them.

    python train.py --config configs/deeplabv3_voc.py:backbone=mobilenet_v2 \
        --config.dataset.folder=VOCdevkit/VOC2012 --workdir runs/voc
    python train.py --config configs/deeplabv3_voc.py:pretrained \
        --config.init_from=WEIGHTS --config.dataset.folder=VOCdevkit/VOC2012 \
        --workdir runs/voc
    python train.py --config configs/deeplabv3_voc.py:second_phase \
        --config.init_from=runs/voc --config.dataset.folder=VOCdevkit/VOC2012 \
        --workdir runs/voc_second
    python train.py --config configs/deeplabv3_voc.py:smoke --workdir runs/smoke

MobileNetV2, arXiv:1801.04381, Table 7, mIoU of the 1,449 validation images, from
weights of COCO, at output stride 16:

    backbone=mobilenet_v1                 DeepLabv3   75.29
    backbone=mobilenet_v2                 DeepLabv3   75.70
    backbone=mobilenet_v2,head=raspp      R-ASPP      75.32

For its rows at output stride 8 with several scales and mirrored images evaluate the
second phase with

    --config.task.eval_scales='(0.5, 0.75, 1.0, 1.25, 1.5, 1.75)' \
    --config.task.eval_flip=True

DeepLabv3's recipe, arXiv:1706.05587, Sec. 4.1: crops of 513 pixels after a random scale
of 0.5 to 2, batches of 16, "poly" from 0.007 over 30,000 steps; then 30,000 more from
0.001 at output stride 8, with the batch norms as they are. Weight decay is 4e-5, as in
TensorFlow's code. The folder is VOC's own. The 10,582 images of the papers are the
split trainaug, with its list in ImageSets/Segmentation and its masks in
SegmentationClass: give --config.dataset.train_split=train without them. `pretrained`
builds the head on the weights of a classifier. Not run here.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults
from mobilenets.errors import UserError, unknown

IMAGES = 10_582  # of trainaug
STEPS, BATCH, CROP = 30_000, 16, 513

BACKBONES = (
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
)
HEADS = ("deeplabv3", "raspp")


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; see the module for the arguments."""
    arg = recipes.parse_arg(
        arg,
        backbone="mobilenet_v2",
        head="deeplabv3",
        pretrained=False,
        second_phase=False,
        smoke=False,
    )
    if arg.backbone not in BACKBONES:
        raise unknown("backbone", arg.backbone, BACKBONES)
    if arg.head not in HEADS:
        raise unknown("head", arg.head, HEADS)
    if arg.pretrained and arg.second_phase:
        raise UserError("Give pretrained or second_phase, not both.")
    config = defaults()
    config.task = dict(name="segmentation", frozen_batch_norm=arg.second_phase)
    config.model = dict(name=f"{arg.head}_{arg.backbone}", resolution=CROP)
    if arg.pretrained:
        config.model = dict(head=arg.head, output_stride=16, resolution=CROP)
    if arg.second_phase:
        config.model = dict(output_stride=8)
    config.dataset = dict(
        folder="VOCdevkit/VOC2012",
        train_split="trainaug",
        eval_split="val",
        num_workers=8,
    )
    config.preprocessing.resize = "keep"
    config.preprocessing.crop_fraction = 1.0
    rate = 0.001 if arg.second_phase else 0.007
    recipes.deeplab(config, batch_size=BATCH, steps=STEPS, images=IMAGES, rate=rate)
    if arg.smoke:
        recipes.smoke_segmentation(config)
    return config
