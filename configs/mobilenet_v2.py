r"""MobileNetV2 on ImageNet, arXiv:1801.04381, Table 4.

    python train.py --config configs/mobilenet_v2.py --workdir runs/v2
    python train.py --config configs/mobilenet_v2.py:width=0.75,resolution=192 \
        --workdir runs/v2_75_192
    python train.py --config configs/mobilenet_v2.py:smoke --workdir runs/smoke

Top-1 of the paper: 72.0 at width 1.0 and 224 pixels. Not run here.

The recipe is the command with which the README of the authors' code (slim's
`nets/mobilenet`) reproduces 72.0: RMSProp with a rate of 0.045 for each 96 images, on 8
GPUs, times 0.98 every 2.5 epochs, about 700,000 steps, label smoothing 0.1, average of
the weights 0.9999. The paper's own run was asynchronous on 16 GPUs and decayed every
epoch.
"""

import ml_collections

from mobilenets.config import recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold width=, resolution= and smoke."""
    arg = recipes.parse_arg(arg, width=1.0, resolution=224, smoke=False)
    config = recipes.imagenet()
    config.model = dict(
        name="mobilenet_v2",
        width_multiplier=arg.width,
        resolution=arg.resolution,
    )
    recipes.inception_colors(config)

    config.batch_size = 8 * 96
    config.epochs = 420.0  # 700,000 steps * 768 images / 1,281,167 images
    config.optimizer.name = "rmsprop"
    recipes.scale_learning_rate(config, 0.045, batch_size=96)
    config.optimizer.weight_decay = 4e-5
    config.optimizer.epsilon = 1.0
    config.schedule.name = "exponential"
    config.schedule.decay_rate = 0.98
    config.schedule.decay_epochs = 2.5
    config.task.label_smoothing = 0.1
    recipes.average_weights(config, 0.9999, batch_size=8 * 96)
    if arg.smoke:
        recipes.smoke(config)
    return config
