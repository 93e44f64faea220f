r"""EfficientNet-B4 on ImageNet, arXiv:1905.11946v5, Table 2: see `efficientnet.py`.

    python train.py --config configs/efficientnet_b4.py --workdir runs/b4
    python train.py --config configs/efficientnet_b4.py:smoke --workdir runs/smoke

Top-1 of the paper: 82.9, with AutoAugment. Not run here.
"""

import dataclasses

import ml_collections

from mobilenets.config import recipes
from mobilenets.networks.architectures.efficientnet import RELEASED


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    model = {"name": "efficientnet_b4", **dataclasses.asdict(RELEASED["b4"])}
    return recipes.efficientnet(model, arg.smoke)
