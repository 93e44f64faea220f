r"""LR-ASPP on MobileNetV3-Small labels clothes in composed scenes: minutes on a CPU.

    python train.py --config configs/lraspp_quickstart.py --workdir runs/pixels
    python train.py --config configs/lraspp_quickstart.py:smoke --workdir runs/smoke

Ours, not a paper's. The scenes are those of configs/ssdlite_quickstart.py, with a mask
for each. It shows that everything works, and is no evidence of accuracy on photographs.
For your own, with weights to start from, see configs/segmentation_finetune.py.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    config = defaults()
    config.task = dict(name="segmentation")
    config.model = dict(
        name="lraspp_mobilenet_v3_small",
        resolution=161,
        bn_momentum=0.9,  # 750 steps are few for 0.9997
    )
    config.dataset = dict(name="fashion_scenes")
    config.preprocessing.resize = "pad"
    config.preprocessing.crop_fraction = 1.0
    config.augmentation = dict(scale_crop=dict(min_scale=0.75, max_scale=1.5), flip={})

    config.batch_size = 32
    config.epochs = 12.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 3e-3, batch_size=32)
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 10.0
    config.schedule.name = "poly"
    config.schedule.warmup_epochs = 1.0
    config.ema_decay = 0.98

    config.log_every_steps = 20
    config.evaluate_every_epochs = 3.0
    if arg.smoke:
        recipes.smoke_segmentation(config)
    return config
