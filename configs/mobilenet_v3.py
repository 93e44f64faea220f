r"""MobileNetV3 on ImageNet, arXiv:1905.02244v5, Tables 3 and 9.

    python train.py --config configs/mobilenet_v3.py --workdir runs/v3_large
    python train.py --config configs/mobilenet_v3.py:variant=small,width=0.75 \
        --workdir runs/v3_small_75
    python train.py --config configs/mobilenet_v3.py:variant=large_minimalistic \
        --workdir runs/v3_large_minimalistic
    python train.py --config configs/mobilenet_v3.py:smoke --workdir runs/smoke

Top-1 of the paper: 75.2 (Large), 67.4 (Small) at 224 pixels. Not run here.

Sec. 6.1.1 gives RMSProp with momentum 0.9 at 0.1 for 4096 images, weight decay 1e-5,
dropout, the average of the weights at 0.9999 and Inception's preprocessing. Its "decay
rate of 0.01 every 3 epochs" is read as times 0.99. It has no epochs, no warm-up and no
epsilon: 600, 5 and EfficientNet's 0.001 are ours, and so is label smoothing, which
Inception's recipe brings. Depthwise kernels are not decayed, as in slim. The colours
are those of MobileNetV2's config.
"""

import ml_collections

from mobilenets.config import recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold variant=, width=, resolution= and smoke."""
    arg = recipes.parse_arg(
        arg, variant="large", width=1.0, resolution=224, smoke=False
    )
    config = recipes.imagenet()
    config.model = dict(
        name=f"mobilenet_v3_{arg.variant}",
        width_multiplier=arg.width,
        resolution=arg.resolution,
    )
    recipes.inception_colors(config)

    config.batch_size = 4096
    config.epochs = 600.0
    config.optimizer.name = "rmsprop"
    recipes.scale_learning_rate(config, 0.1, batch_size=4096)
    config.optimizer.weight_decay = 1e-5
    config.schedule.name = "exponential"
    config.schedule.warmup_epochs = 5.0
    config.schedule.decay_rate = 0.99
    config.schedule.decay_epochs = 3.0
    config.task.label_smoothing = 0.1
    recipes.average_weights(config, 0.9999, batch_size=4096)
    if arg.smoke:
        recipes.smoke(config)
    return config
