r"""SSD and SSDLite on COCO, as the papers on MobileNets report them.

    python train.py --config configs/ssdlite_coco.py:backbone=mobilenet_v3_large \
        --config.dataset.folder=/data/coco --workdir runs/coco
    python train.py --config configs/ssdlite_coco.py:smoke --workdir runs/smoke

The folder holds COCO's own files: annotations/instances_train2017.json, train2017/ and
val2017/. The argument `backbone` is one of

    mobilenet_v1         SSD 300   MobileNetV1, Table 13: 19.3 AP
    mobilenet_v2         SSDLite   MobileNetV2, Table 6: 22.1 AP
    mobilenet_v3_large, mobilenet_v3_small, and both with _halved
                         SSDLite   MobileNetV3, Table 6: 22.0, 16.0, 22.0, 16.1 AP
    mnasnet_a1           SSDLite   MnasNet's paper: 23.0 AP
    moga_a, efficientnet_lite0      SSDLite, without a published result
    torchvision          torchvision's ssdlite320_mobilenet_v3_large: 21.3 AP

Two recipes, both of TensorFlow's Object Detection API. MobileNetV3: momentum, batches
of 512, a cosine from 0.4 over 400,000 steps (800,000 for Small; its warm-up begins at
0.133, ours at 0), focal loss. All others: RMSProp at 0.004 with epsilon 1, batches of
24, 200,000 steps, in which the rate does not decay yet; hard negatives. Weight decay is
4e-5. The crops are those of the SSD paper; TensorFlow's differ a little. torchvision's
own training is another one: here its network has TensorFlow's, with a softmax. The
papers start from weights of ImageNet: give --config.init_from=WEIGHTS with
configs/ssdlite_finetune.py to do so. Not run here.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults
from mobilenets.errors import unknown

IMAGES = 118_287  # of train2017

NETWORKS = {
    "mobilenet_v1": "ssd_mobilenet_v1",
    "torchvision": "ssdlite320_mobilenet_v3_large",
} | {
    name: f"ssdlite_{name}"
    for name in (
        "mobilenet_v2",
        "mobilenet_v3_large",
        "mobilenet_v3_large_halved",
        "mobilenet_v3_small",
        "mobilenet_v3_small_halved",
        "mnasnet_a1",
        "moga_a",
        "efficientnet_lite0",
    )
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the arguments are `backbone` and `smoke`."""
    arg = recipes.parse_arg(arg, backbone="mobilenet_v3_large", smoke=False)
    if arg.backbone not in NETWORKS:
        raise unknown("backbone", arg.backbone, NETWORKS)
    config = defaults()
    config.model = dict(name=NETWORKS[arg.backbone])
    config.dataset = dict(
        folder="coco", train_split="train2017", eval_split="val2017", num_workers=8
    )
    config.preprocessing.resize = "squash"
    config.preprocessing.crop_fraction = 1.0
    config.augmentation = dict(ssd_crop={}, flip={})
    config.optimizer.weight_decay = 4e-5
    config.optimizer.weight_decay_on_depthwise = True
    if arg.backbone.startswith("mobilenet_v3"):
        _focal(config, steps=800_000 if "small" in arg.backbone else 400_000)
    else:
        _mined(config, arg.backbone)
    config.ema_decay = 0.9999
    config.evaluate_every_epochs = 5.0
    if arg.smoke:
        recipes.smoke_detection(config)
    return config


def _focal(config: ml_collections.ConfigDict, steps: int) -> None:
    config.task = dict(name="detection", loss="focal")
    config.batch_size = 512
    config.epochs = steps * 512 / IMAGES
    config.optimizer.name = "sgd"
    config.optimizer.momentum = 0.9
    recipes.scale_learning_rate(config, 0.4, batch_size=512)
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 2000 * 512 / IMAGES


def _mined(config: ml_collections.ConfigDict, backbone: str) -> None:
    config.task = dict(
        name="detection",
        loss="mined_softmax" if backbone == "torchvision" else "mined_sigmoid",
        min_negatives=0 if backbone in ("mobilenet_v1", "torchvision") else 3,
    )
    config.batch_size = 24
    config.epochs = 200_000 * 24 / IMAGES
    config.optimizer.name = "rmsprop"
    config.optimizer.epsilon = 1.0
    recipes.scale_learning_rate(config, 0.004, batch_size=24)
    config.schedule.name = "exponential"
    config.schedule.decay_rate = 0.95
    config.schedule.decay_epochs = 800_720 * 24 / IMAGES
