r"""EfficientNet-B7 on ImageNet, arXiv:1905.11946v5, Table 2: see `efficientnet.py`.

    python train.py --config configs/efficientnet_b7.py --workdir runs/b7
    python train.py --config configs/efficientnet_b7.py:smoke --workdir runs/smoke

Top-1 of the paper: 84.3, with AutoAugment. Not run here.
"""

import dataclasses

import ml_collections

from mobilenets.config import recipes
from mobilenets.networks.architectures.efficientnet import RELEASED


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    model = {"name": "efficientnet_b7", **dataclasses.asdict(RELEASED["b7"])}
    return recipes.efficientnet(model, arg.smoke)
