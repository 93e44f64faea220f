r"""A modern recipe on ImageNet, for any classifier.

    python train.py --config configs/modern.py --workdir runs/modern
    python train.py --config configs/modern.py:network=resnet50,drop_path=0 \
        --workdir runs/modern_resnet50
    python train.py --config configs/modern.py:smoke --workdir runs/smoke

AdamW and a cosine, RandAugment, mixup, CutMix, label smoothing, stochastic depth, and
the average of the weights. The values are those of MobileNetV4 (arXiv:2404.10518, Table
10): of Conv-M, with the mixup and CutMix of Conv-L and the average of Conv-S. Its
RandAugment has no Cutout; here that is one of the sixteen operations. It is no
network's own recipe, so there is no figure of a paper. Not run here.

The learning rate and the weight decay follow the root of the batch, the decay of the
average its power: see `recipes.scale_adamw` and `recipes.average_weights`. Stochastic
depth is for networks of inverted residuals.
"""

import ml_collections

from mobilenets.config import recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold network=, resolution=, drop_path= and smoke."""
    arg = recipes.parse_arg(
        arg,
        network="mobilenet_v3_large",
        resolution=224,
        drop_path=0.075,
        smoke=False,
    )
    config = recipes.tpu_imagenet()
    config.model = dict(name=arg.network, resolution=arg.resolution)
    if arg.drop_path:
        config.model.drop_path_rate = arg.drop_path
    config.augmentation.rand_augment = dict(
        layers=2, magnitude=15.0, scale="efficientnet", probability=0.7
    )
    # A pair is mixed at 0.3, by the one or the other.
    config.augmentation.mixup = dict(alpha=0.8, probability=0.15)
    config.augmentation.cutmix = dict(alpha=1.0, probability=0.15)

    config.batch_size = 4096
    config.epochs = 500.0
    config.optimizer.name = "adamw"
    recipes.scale_adamw(config, 4e-3, weight_decay=0.1, batch_size=4096)
    config.optimizer.epsilon = 1e-7
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 5.0
    config.task.label_smoothing = 0.1
    recipes.average_weights(config, 0.9999, batch_size=4096)
    if arg.smoke:
        recipes.smoke(config)
    return config
