r"""EfficientNet-B2 on ImageNet, arXiv:1905.11946v5, Table 2: see `efficientnet.py`.

    python train.py --config configs/efficientnet_b2.py --workdir runs/b2
    python train.py --config configs/efficientnet_b2.py:smoke --workdir runs/smoke

Top-1 of the paper: 80.1, with AutoAugment. Not run here.
"""

import ml_collections

from configs import efficientnet


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    return efficientnet.of_variant("b2", arg)
