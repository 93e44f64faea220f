r"""SSDLite on your own photographs with boxes, from trained weights.

    mobilenets pretrained efficientnet_lite0 --output weights/lite0
    python train.py --config configs/ssdlite_finetune.py --workdir runs/mine \
        --config.init_from=weights/lite0 --config.dataset.folder=my_export
    mobilenets predict some.jpg --weights runs/mine

The folder is what an annotation tool exports: COCO JSON, YOLO or Pascal VOC; which one
is recognised. With one split only, --config.dataset.eval_fraction=0.2 evaluates a fifth
of the photographs. The weights are a classifier or a backbone, on which a new detector
is built, or a detector, of which all that does not depend on the classes is kept.

    --config.trainable_stages=1       trains the last stage and the detector alone
    --config.model.resolution=416     more pixels: finds smaller objects, slower
    --config.optimizer.backbone_rate=0.1   of the detector's rate, for the backbone

Ours, not a paper's.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run, without --config.init_from and --config.dataset.folder."""
    recipes.parse_arg(arg)
    config = defaults()
    config.task = dict(name="detection", loss="focal")
    # A run is too short for the papers' momentum of the statistics.
    config.model = dict(resolution=320, bn_momentum=0.9)
    config.augmentation = dict(ssd_crop=dict(min_area=0.3), flip={})

    config.batch_size = 32
    config.epochs = 50.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 1e-3, batch_size=32)
    config.optimizer.backbone_rate = 0.3
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 10.0
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 2.0
    config.ema_decay = 0.99

    config.log_every_steps = 10
    config.evaluate_every_epochs = 5.0
    return config
