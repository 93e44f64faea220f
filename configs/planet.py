r"""PlaNet with MobileNetV1, arXiv:1704.04861, Sec. 4.4, on photographs of your own.

    python train.py --config configs/planet.py --workdir runs/planet \
        --config.dataset.table=photos.csv --config.dataset.eval_fraction=0.02
    python train.py --config configs/planet.py:width=0.5,resolution=128 \
        --workdir runs/planet_50_128 --config.dataset.table=photos.csv
    python train.py --config configs/planet.py:smoke --workdir runs/smoke

`photos.csv` has the columns path, latitude and longitude. Not run here: the paper's
photographs are not published. docs/guides/geolocalization.md has its figures.

A cell is divided above 10,000 photographs and dropped below 50, as in PlaNet,
arXiv:1602.05314, Sec. 3 (from memory, not checked). The paper gives no recipe for this
task: optimizer, rate, batch, crops and colours are those of configs/mobilenet_v1.py;
epochs and schedule are ours, for millions of photographs. There is no flip: writing and
the side of the road on which cars drive are clues to the place.
"""

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold width=, resolution= and smoke."""
    arg = recipes.parse_arg(arg, width=1.0, resolution=224, smoke=False)
    config = defaults()
    config.task = dict(
        name="geolocalization", max_images_per_cell=10_000, min_images_per_cell=50
    )
    config.model = dict(
        name="mobilenet_v1",
        width_multiplier=arg.width,
        resolution=arg.resolution,
    )
    config.dataset.num_workers = 16
    config.augmentation = dict(
        random_crop=dict(min_area=0.25),
        color_jitter=dict(brightness=0.125, saturation=0.5),
    )

    config.batch_size = 1024
    config.epochs = 10.0
    config.optimizer.name = "rmsprop"
    recipes.scale_learning_rate(config, 0.165, batch_size=256)
    config.optimizer.weight_decay = 4e-5
    config.optimizer.epsilon = 1.0
    config.schedule.name = "cosine"
    if arg.smoke:
        recipes.smoke_geolocalization(config)
    return config
