r"""EfficientNet-B1 on ImageNet, arXiv:1905.11946v5, Table 2: see `efficientnet.py`.

    python train.py --config configs/efficientnet_b1.py --workdir runs/b1
    python train.py --config configs/efficientnet_b1.py:smoke --workdir runs/smoke

Top-1 of the paper: 79.1, with AutoAugment. Not run here.
"""

import dataclasses

import ml_collections

from mobilenets.config import recipes
from mobilenets.networks.architectures.efficientnet import RELEASED


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    model = {"name": "efficientnet_b1", **dataclasses.asdict(RELEASED["b1"])}
    return recipes.efficientnet(model, arg.smoke)
