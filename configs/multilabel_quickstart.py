r"""Half a MobileNetV3-Small finds which clothes are in a collage: several labels.

    python train.py --config configs/multilabel_quickstart.py --workdir runs/collages
    python train.py --config configs/multilabel_quickstart.py:smoke --workdir runs/smoke

The images are composed of the embedded clothes: one to four of them in a grid, with an
attribute for each of the ten kinds. A tenth of the training labels is unknown. It shows
that everything works, and says nothing about accuracy on photographs. For your own,
with weights to start from:

    python train.py --config configs/finetune.py --config.task.name=multilabel \
        --config.init_from=weights/lite0 --config.dataset.table=labels.csv \
        --workdir runs/mine
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    config = defaults()
    config.task = dict(name="multilabel")
    config.model = dict(
        name="mobilenet_v3_small",
        width_multiplier=0.5,
        resolution=64,
        stem_stride=1,
        dropout_rate=0.2,
        bn_momentum=0.9,  # 300 steps are few for the paper's 0.99
    )
    config.dataset = dict(name="fashion_collages")
    config.preprocessing.crop_fraction = 1.0  # the clothes fill the image
    config.augmentation = dict(
        random_crop=dict(min_area=0.9, max_aspect_ratio=1.1), flip={}
    )

    config.batch_size = 64
    config.epochs = 10.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 6e-3, batch_size=64)
    config.optimizer.weight_decay = 0.2
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.ema_decay = 0.98

    config.log_every_steps = 20
    config.evaluate_every_epochs = 2.0
    if arg.smoke:
        recipes.smoke(config)
        config.dataset.name = "fashion_collages"
    return config
