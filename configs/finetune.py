r"""Fine-tuning on your own images: from trained weights to your classes, in minutes.

    mobilenets pretrained efficientnet_lite0 --output weights/lite0
    python train.py --config configs/finetune.py --workdir runs/photos \
        --config.init_from=weights/lite0 --config.dataset.folder=photos
    mobilenets predict some.jpg --weights runs/photos

The folder holds photos/train/CLASS/*.jpg and photos/validation/CLASS/*.jpg (png and
webp too). The network and its preprocessing are those of the weights, with new logits
for your classes. By default the last stage and the logits are trained; other ways:

    --config.trainable_stages=0     the logits alone: fastest, for few images
    --config.trainable_stages=-1    everything: best, for many images
    --config.optimizer.backbone_rate=0.1    of the logits' rate, for all other layers
    --config.model.resolution=160   fewer pixels: faster

Ours, not a paper's. docs/results/fine_tuning.md has the result on 200 images of
clothes, at 96 pixels with --config.augmentation.random_crop.min_area=0.8.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run, without --config.init_from and --config.dataset.folder."""
    recipes.parse_arg(arg)
    config = defaults()
    config.trainable_stages = 1
    # A run is too short to forget ImageNet's statistics at the papers' momentum.
    config.model = dict(bn_momentum=0.9)
    config.augmentation.random_crop.min_area = 0.35

    config.batch_size = 32
    config.epochs = 20.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 1e-3, batch_size=32)
    config.optimizer.backbone_rate = 0.3
    config.optimizer.weight_decay = 0.05
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.task.label_smoothing = 0.1
    config.ema_decay = 0.99

    config.log_every_steps = 10
    config.evaluate_every_epochs = 2.0
    return config
