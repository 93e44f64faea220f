r"""MobileNetV1 on the 120 breeds of Stanford Dogs, arXiv:1704.04861, Sec. 4.3.

    pip install 'mobilenets[prepare]' && mobilenets prepare stanford_dogs
    mobilenets pretrained efficientnet_lite0 --output weights/lite0
    python train.py --config configs/stanford_dogs.py --config.init_from=weights/lite0 \
        --workdir runs/dogs

That is fine-tuning from weights of ImageNet. The paper trains in two stages, first on
many noisy images from the web, then on the data set:

    python train.py --config configs/stanford_dogs.py:web --config.dataset.folder=web \
        --workdir runs/web
    python train.py --config configs/stanford_dogs.py --config.init_from=runs/web \
        --workdir runs/dogs
    python train.py --config configs/stanford_dogs.py:smoke --workdir runs/smoke

The images of the web are yours: web/BREED/*.jpg, the breeds named as in the data set
(n02085620-chihuahua, and so on), so that the second stage keeps the output layer. Other
networks of the paper's Table 10: stanford_dogs.py:web,width=0.75,resolution=192.
docs/guides/fine_grained.md has its figures. Not run here.

The first stage is MobileNetV1's recipe on ImageNet (configs/mobilenet_v1.py) with 50
epochs; the second is ours. The data set has 12,000 images to train and 8,580 to
evaluate, all taken from ImageNet: its weights may have seen those that are evaluated,
so that a result from them is not one of new images.
"""

import ml_collections

from mobilenets.config import files, recipes
from mobilenets.config.values import defaults


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold web, width=, resolution= and smoke."""
    arg = recipes.parse_arg(arg, web=False, width=1.0, resolution=224, smoke=False)
    network = f"mobilenet_v1:width={arg.width},resolution={arg.resolution}"
    if arg.web:
        config = files.read(network)
        config.dataset = dict(folder="web", eval_fraction=0.02, num_workers=16)
        config.epochs = 50.0
    else:
        config = defaults()
        config.model = files.read(network).model
        config.dataset = dict(name="stanford_dogs", eval_split="test", num_workers=8)
        _fine_tune(config)
    if arg.smoke:
        recipes.smoke(config)
    return config


def _fine_tune(config: recipes.Config) -> None:
    """The recipe of the second stage, which begins with trained weights."""
    config.augmentation.random_crop.min_area = 0.35

    config.batch_size = 64
    config.epochs = 30.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 1e-3, batch_size=64)
    config.optimizer.backbone_rate = 0.3
    config.optimizer.weight_decay = 0.05
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.task.label_smoothing = 0.1
    config.ema_decay = 0.999
    config.evaluate_every_epochs = 2.0
