r"""MobileNetV1 with squeeze-and-excitation on ImageNet, arXiv:1709.01507, Table 3.

    python train.py --config configs/se_mobilenet_v1.py --workdir runs/se_v1
    python train.py --config configs/se_mobilenet_v1.py:smoke --workdir runs/smoke

Top-1 of the paper: 74.7. Not run here.

Recipe of Sec. 6.1 for small networks: 0.1 for 256 images, about 400 epochs, less
aggressive crops. It divides the rate by 10 whenever the loss stands still; here at
epochs 200 and 300. Weight decay 4e-5 as in the paper's first version. The range of the
crops is that of MobileNetV1's config.
"""

import ml_collections

from mobilenets.config import recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold width=, resolution= and smoke."""
    arg = recipes.parse_arg(arg, width=1.0, resolution=224, smoke=False)
    config = recipes.tpu_imagenet()
    config.model = dict(
        name="se_mobilenet_v1",
        width_multiplier=arg.width,
        resolution=arg.resolution,
    )
    config.augmentation.random_crop.min_area = 0.25
    config.batch_size = 256
    config.epochs = 400.0
    config.optimizer.name = "sgd"
    recipes.scale_learning_rate(config, 0.1, batch_size=256)
    config.optimizer.weight_decay = 4e-5
    config.schedule.name = "piecewise"
    config.schedule.boundaries = (200.0, 300.0)
    config.schedule.factor = 0.1
    config.ema_decay = 0.0
    if arg.smoke:
        recipes.smoke(config)
    return config
