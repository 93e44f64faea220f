r"""MoGA on ImageNet, arXiv:1908.01314, Table 3.

    python train.py --config configs/moga.py --workdir runs/moga_a
    python train.py --config configs/moga.py:variant=c --workdir runs/moga_c
    python train.py --config configs/moga.py:smoke --workdir runs/smoke

Top-1 of the paper: 75.9 (A), 75.5 (B), 75.3 (C). Not run here.

The images are prepared as in the authors' repository. It holds no training, and the
authors only speak of Google's usual tricks: MnasNet's recipe takes its place here.
"""

import ml_collections

from mobilenets.config import recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold variant=, resolution= and smoke."""
    arg = recipes.parse_arg(arg, variant="a", resolution=224, smoke=False)
    config = recipes.tpu_imagenet()
    config.model = dict(name=f"moga_{arg.variant}", resolution=arg.resolution)
    config.preprocessing.interpolation = "bilinear"
    config.augmentation.random_crop.min_area = 0.2
    recipes.mnasnet_recipe(config, batch_size=4096)
    if arg.smoke:
        recipes.smoke(config)
    return config
