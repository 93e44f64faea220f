r"""ResNet-50, -101 and -152 (v1.5) on ImageNet, arXiv:1512.03385.

    python train.py --config configs/resnet.py --workdir runs/resnet50
    python train.py --config configs/resnet.py:layers=101 --workdir runs/resnet101
    python train.py --config configs/resnet.py:smoke --workdir runs/smoke

Top-1 of ResNet-50 as EfficientNet's paper has it: 76.0. Not run here.

Recipe of the TPU models: 0.1 for each 256 images, divided by 10 at epochs 30, 60 and
80 of 90, 5 epochs of warm-up, weight decay 1e-4, no average of the weights. The last
batch norm of a block starts with a scale of 0, the logits' kernel at 0.01.
"""

import ml_collections

from mobilenets.config import recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold layers=, resolution= and smoke."""
    arg = recipes.parse_arg(arg, layers=50, resolution=224, smoke=False)
    config = recipes.tpu_imagenet()
    config.model = dict(
        name=f"resnet{arg.layers}", width_multiplier=1.0, resolution=arg.resolution
    )
    config.batch_size = 1024
    config.epochs = 90.0
    config.optimizer.name = "sgd"
    recipes.scale_learning_rate(config, 0.1, batch_size=256)
    config.optimizer.weight_decay = 1e-4
    config.schedule.name = "piecewise"
    config.schedule.warmup_epochs = 5.0
    config.schedule.boundaries = (30.0, 60.0, 80.0)
    config.schedule.factor = 0.1
    config.ema_decay = 0.0
    if arg.smoke:
        recipes.smoke(config)
    return config
