r"""The supernet of MoGA's search space on ImageNet, arXiv:1908.01314.

    python train.py --config configs/moga_supernet.py --workdir runs/supernet
    python train.py --config configs/moga_supernet.py:smoke --workdir runs/smoke

Not run here. The paper trains by FairNAS' strict fairness, arXiv:1907.01845. How long
and at which rates is not known: the recipe is ours. The last 2,500 images to train are
held out to rank candidates, so that what a block makes of all of them fits into the
memory of one device: `mobilenets search --config search/moga --dry-run` estimates it.
"""

import ml_collections

from mobilenets.config import recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold resolution= and smoke."""
    arg = recipes.parse_arg(arg, resolution=224, smoke=False)
    config = recipes.tpu_imagenet()
    config.task = dict(name="supernet", sampling="fair", label_smoothing=0.1)
    config.model = dict(
        name="moga", width_multiplier=1.0, resolution=arg.resolution, dropout_rate=0.0
    )
    config.preprocessing.interpolation = "bilinear"
    config.augmentation.random_crop.min_area = 0.2
    config.dataset.train_split = "train[:-2500]"
    config.dataset.eval_split = "train[-2500:]"
    config.batch_size = 256
    config.epochs = 60.0
    config.optimizer.name = "sgd"
    recipes.scale_learning_rate(config, 0.045, batch_size=256)
    config.optimizer.weight_decay = 4e-5
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 2.0
    if arg.smoke:
        recipes.smoke(config)
        config.dataset.eval_split = "train[64:104]"
    return config
