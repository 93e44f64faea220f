r"""SE-ResNet-50, -101 and -152 on ImageNet, arXiv:1709.01507, Table 2.

    python train.py --config configs/se_resnet.py --workdir runs/se_resnet50
    python train.py --config configs/se_resnet.py:layers=101,reduction=8 \
        --workdir runs/se_resnet101_8
    python train.py --config configs/se_resnet.py:smoke --workdir runs/smoke

Top-1 of the paper: 76.71 (50), 77.62 (101), 78.43 (152). Not run here.

Recipe of Sec. 6.1: 0.6 for 1024 images, divided by 10 every 30 of 100 epochs, momentum
0.9. It gives no weight decay: ResNet's 1e-4 is used. It subtracts the mean; here the
deviation is divided out, too. No average of the weights. The logits and the last batch
norm of a block start as in ResNet's config, of which the paper says nothing.
"""

import ml_collections

from mobilenets.config import recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold layers=, reduction=, resolution= and smoke."""
    arg = recipes.parse_arg(arg, layers=50, reduction=16, resolution=224, smoke=False)
    config = recipes.tpu_imagenet()
    config.model = dict(
        name=f"se_resnet{arg.layers}",
        width_multiplier=1.0,
        reduction=arg.reduction,
        resolution=arg.resolution,
    )
    config.batch_size = 1024
    config.epochs = 100.0
    config.optimizer.name = "sgd"
    recipes.scale_learning_rate(config, 0.6, batch_size=1024)
    config.optimizer.weight_decay = 1e-4
    config.schedule.name = "piecewise"
    config.schedule.boundaries = (30.0, 60.0, 90.0)
    config.schedule.factor = 0.1
    config.ema_decay = 0.0
    if arg.smoke:
        recipes.smoke(config)
    return config
