r"""SSDLite on MobileNetV3-Small finds clothes in composed scenes: minutes on a CPU.

    python train.py --config configs/ssdlite_quickstart.py --workdir runs/scenes
    python train.py --config configs/ssdlite_quickstart.py:smoke --workdir runs/smoke

Ours, not a paper's. The scenes are composed of the embedded clothes on random
backgrounds, and written to disk once, as a COCO data set. It shows that everything
works, and is no evidence of accuracy on photographs. For your own, with weights to
start from, see configs/ssdlite_finetune.py.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    config = defaults()
    config.task = dict(name="detection", loss="mined_softmax")
    config.model = dict(
        name="ssdlite_mobilenet_v3_small",
        resolution=160,
        scores="softmax",
        bn_momentum=0.9,  # 750 steps are few for 0.97
    )
    config.dataset = dict(name="fashion_scenes")
    config.preprocessing.resize = "squash"
    config.preprocessing.crop_fraction = 1.0
    config.augmentation = dict(ssd_crop=dict(min_area=0.3), flip={})

    config.batch_size = 32
    config.epochs = 12.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 3e-3, batch_size=32)
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 10.0
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.ema_decay = 0.98

    config.log_every_steps = 20
    config.evaluate_every_epochs = 3.0
    if arg.smoke:
        recipes.smoke_detection(config)
    return config
