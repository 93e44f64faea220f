r"""EfficientNet on ImageNet, arXiv:1905.11946v5: B0 to B7, and any other scaling of B0.

    python train.py --config configs/efficientnet.py:variant=b3 --workdir runs/b3
    python train.py --config configs/efficientnet_b3.py --workdir runs/b3
    python train.py --config configs/efficientnet.py:phi=2.5 --workdir runs/phi_2.5
    python train.py --config configs/efficientnet.py:smoke --workdir runs/smoke

The variant gives width, depth, resolution and dropout; phi gives those of Eq. 3.
What follows from the batch (the learning rate) and from the epochs (the steps) follows
when they are changed, too.

Top-1 of the paper: 77.1 (B0) to 84.3 (B7), with AutoAugment. Not run here. Without it
(--config.augmentation.auto_augment=None) the authors' README reports 76.7, 78.7, 79.8,
81.1, 82.5 and 83.1 for B0 to B5. With RandAugment they trained B5 at the magnitude 17
and B7 at 28:

    --config.augmentation.auto_augment=None \
        --config.augmentation.rand_augment.scale=efficientnet \
        --config.augmentation.rand_augment.magnitude=17.0

Recipe: `recipes.efficientnet`.
"""

import dataclasses
from typing import Any

import ml_collections

from mobilenets.config import recipes
from mobilenets.errors import UserError, unknown
from mobilenets.networks import scaling
from mobilenets.networks.architectures.efficientnet import RELEASED


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold variant= or phi=, and smoke."""
    arg = recipes.parse_arg(arg, variant=str, phi=float, smoke=False)
    if arg.variant is not None and arg.phi is not None:
        raise UserError("configs/efficientnet.py takes variant= or phi=, not both.")
    scaled = _released(arg.variant or "b0") if arg.phi is None else _scaled(arg.phi)
    return recipes.efficientnet(scaled, arg.smoke)


def _released(variant: str) -> dict[str, Any]:
    if variant not in RELEASED:
        raise unknown("variant of EfficientNet", variant, RELEASED)
    return {"name": f"efficientnet_{variant}"} | dataclasses.asdict(RELEASED[variant])


def _scaled(phi: float) -> dict[str, Any]:
    multipliers = scaling.multipliers(phi)
    return {
        "name": "efficientnet_b0",
        "width_multiplier": multipliers.width,
        "depth_multiplier": multipliers.depth,
        "resolution": multipliers.pixels,
        "dropout_rate": scaling.dropout_rate(phi),
    }
