r"""EfficientNet-Lite on ImageNet, the TPU models' efficientnet/lite/README.

    python train.py --config configs/efficientnet_lite.py --workdir runs/lite0
    python train.py --config configs/efficientnet_lite.py:variant=lite4 \
        --workdir runs/lite4
    python train.py --config configs/efficientnet_lite.py:smoke --workdir runs/smoke

Top-1 of the authors: 75.1 (Lite0) to 81.5 (Lite4). Not run here.

Recipe: EfficientNet's, with (x - 127) / 128 as the input.
"""

import dataclasses

import ml_collections

from mobilenets.config import recipes
from mobilenets.errors import unknown
from mobilenets.networks.architectures.efficientnet import RELEASED_LITE


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold variant= and smoke."""
    arg = recipes.parse_arg(arg, variant="lite0", smoke=False)
    if arg.variant not in RELEASED_LITE:
        raise unknown("variant of EfficientNet-Lite", arg.variant, RELEASED_LITE)
    released = dataclasses.asdict(RELEASED_LITE[arg.variant])
    model = {"name": f"efficientnet_{arg.variant}", **released}
    config = recipes.efficientnet(model, arg.smoke)
    config.preprocessing.mean = (127.0, 127.0, 127.0)
    config.preprocessing.std = (128.0, 128.0, 128.0)
    return config
