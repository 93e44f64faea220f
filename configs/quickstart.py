r"""Half a MobileNetV3-Small on embedded Fashion-MNIST images: minutes on a CPU.

    python train.py --config configs/quickstart.py --workdir runs/quickstart
    python train.py --config configs/quickstart.py:smoke --workdir runs/smoke

Ours, not a paper's: 6,000 images of 10 kinds of clothes want a network and a recipe of
their own. The stem has stride 1, since the images have 32 pixels, not 224.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    config = defaults()
    config.model = dict(
        name="mobilenet_v3_small",
        width_multiplier=0.5,
        resolution=32,
        stem_stride=1,
        dropout_rate=0.2,
        bn_momentum=0.9,  # 800 steps are few for the paper's 0.99
    )
    config.dataset.name = "fashion_mnist_subset"
    config.preprocessing.crop_fraction = 1.0  # the clothes fill the image
    # Mild crops: without any it overfits, and the papers' are too strong here.
    config.augmentation.random_crop.min_area = 0.75
    config.augmentation.random_crop.max_aspect_ratio = 1.15

    config.batch_size = 128
    config.epochs = 18.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 1.2e-2, batch_size=128)
    config.optimizer.weight_decay = 0.4
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.task.label_smoothing = 0.1
    config.ema_decay = 0.99

    config.log_every_steps = 20
    config.evaluate_every_epochs = 3.0
    if arg.smoke:
        recipes.smoke(config)
    return config
