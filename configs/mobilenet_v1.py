r"""MobileNetV1 on ImageNet, arXiv:1704.04861, Tables 6 and 7.

    python train.py --config configs/mobilenet_v1.py --workdir runs/v1
    python train.py --config configs/mobilenet_v1.py:width=0.5,resolution=160 \
        --workdir runs/v1_50_160
    python train.py --config configs/mobilenet_v1.py:smoke --workdir runs/smoke

Top-1 of the paper: 70.6 at width 1.0 and 224 pixels. Not run here.

The paper gives RMSProp and little else. The learning rate (0.165 for each 256 images,
times 0.94 every 3 epochs) and the batch are those of the authors' TPU code; the weight
decay that of slim's `mobilenet_v1.py`. The number of epochs, RMSProp's constants,
the average of the weights and the ranges of the crop and of the colours are ours: the
paper only says that it limits how small the crops are, and uses no label smoothing
(Sec. 3.2).
"""

import ml_collections

from mobilenets.config import recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold width=, resolution= and smoke."""
    arg = recipes.parse_arg(arg, width=1.0, resolution=224, smoke=False)
    config = recipes.imagenet()
    config.model = dict(
        name="mobilenet_v1",
        width_multiplier=arg.width,
        resolution=arg.resolution,
    )
    config.augmentation.random_crop.min_area = 0.25
    config.augmentation.color_jitter = dict(brightness=0.125, saturation=0.5)

    config.batch_size = 1024
    config.epochs = 200.0
    config.optimizer.name = "rmsprop"
    recipes.scale_learning_rate(config, 0.165, batch_size=256)
    config.optimizer.weight_decay = 4e-5
    config.optimizer.epsilon = 1.0
    config.schedule.name = "exponential"
    config.schedule.decay_rate = 0.94
    config.schedule.decay_epochs = 3.0
    recipes.average_weights(config, 0.9999, batch_size=1024)
    if arg.smoke:
        recipes.smoke(config)
    return config
