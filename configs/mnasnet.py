r"""MnasNet on ImageNet, arXiv:1807.11626, Tables 1 and 2.

    python train.py --config configs/mnasnet.py --workdir runs/mnasnet_a1
    python train.py --config configs/mnasnet.py:variant=b1,width=0.75 \
        --workdir runs/mnasnet_b1_75
    python train.py --config configs/mnasnet.py:smoke --workdir runs/smoke

Top-1 of the paper: 75.2 (A1), 74.5 (B1). Not run here.

Recipe: `recipes.mnasnet_recipe`, which is this paper's (Sec. 5), with its batch of
4096.
"""

import ml_collections

from mobilenets.config import recipes


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold variant=, width=, resolution= and smoke."""
    arg = recipes.parse_arg(arg, variant="a1", width=1.0, resolution=224, smoke=False)
    config = recipes.tpu_imagenet()
    config.model = dict(
        name=f"mnasnet_{arg.variant}",
        width_multiplier=arg.width,
        resolution=arg.resolution,
    )
    recipes.mnasnet_recipe(config, batch_size=4096)
    if arg.smoke:
        recipes.smoke(config)
    return config
