r"""A class for each pixel of your own photographs, from trained weights.

    mobilenets pretrained efficientnet_lite0 --output weights/lite0
    python train.py --config configs/segmentation_finetune.py --workdir runs/mine \
        --config.init_from=weights/lite0 --config.dataset.folder=my_export
    mobilenets predict some.jpg --weights runs/mine

The folder has images/SPLIT and masks/SPLIT, or is what an annotation tool exports:
CVAT's masks or COCO's JSON with outlines; which one is recognised. With one split only,
--config.dataset.eval_fraction=0.2 evaluates a fifth of the photographs. The weights are
a classifier or a backbone, on which a new segmenter is built, or a segmenter, of which
all that does not depend on the classes is kept.

    --config.model.head=deeplabv3     another head than lraspp; also raspp
    --config.model.output_stride=8    a finer last map; slower
    --config.model.resolution=769     more pixels: finds smaller things, slower
    --config.preprocessing.resize=keep   photographs as large as they are
    --config.optimizer.backbone_rate=0.1   of the head's rate, for the backbone

Ours, not a paper's.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run, without --config.init_from and --config.dataset.folder."""
    recipes.parse_arg(arg)
    config = defaults()
    config.task = dict(name="segmentation")
    # A run is too short for the papers' momentum of the statistics.
    config.model = dict(resolution=513, bn_momentum=0.9)
    config.augmentation = dict(
        scale_crop=dict(min_scale=0.5, max_scale=2.0),
        flip={},
        color_jitter=dict(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02),
    )

    config.batch_size = 16
    config.epochs = 50.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 1e-3, batch_size=16)
    config.optimizer.backbone_rate = 0.3
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 10.0
    config.schedule.name = "poly"
    config.schedule.warmup_epochs = 2.0
    config.ema_decay = 0.99

    config.log_every_steps = 10
    config.evaluate_every_epochs = 5.0
    return config
