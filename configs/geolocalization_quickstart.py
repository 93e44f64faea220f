r"""A quarter of MobileNetV1 locates painted scenes: minutes on a CPU.

    python train.py --config configs/geolocalization_quickstart.py --workdir runs/places
    python train.py --config configs/geolocalization_quickstart.py:smoke \
        --workdir runs/smoke

Ours, not a paper's. The scenes are painted by code, and their place is in the picture:
the colour of the sky is the longitude, the height of the horizon the latitude. It shows
that everything works, and says nothing about accuracy on photographs. For your own, see
configs/planet.py.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    config = defaults()
    config.task = dict(
        name="geolocalization", max_images_per_cell=60, min_images_per_cell=10
    )
    config.model = dict(
        name="mobilenet_v1",
        width_multiplier=0.25,
        resolution=64,
        bn_momentum=0.9,  # 600 steps are few for the paper's 0.9997
    )
    config.dataset = dict(name="painted_places")
    config.preprocessing.crop_fraction = 1.0  # the horizon is where it is
    config.augmentation = {}  # a crop would move it

    config.batch_size = 64
    config.epochs = 20.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 6e-3, batch_size=64)
    config.optimizer.weight_decay = 0.05
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.ema_decay = 0.98

    config.log_every_steps = 20
    config.evaluate_every_epochs = 5.0
    if arg.smoke:
        recipes.smoke_geolocalization(config)
    return config
