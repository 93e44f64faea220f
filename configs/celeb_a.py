r"""The forty attributes of CelebA's faces, by networks that a larger one teaches.

    pip install 'mobilenets[prepare]' && mobilenets prepare celeb_a
    python train.py --config configs/celeb_a.py:larger --workdir runs/larger
    python train.py --config configs/celeb_a.py --config.teacher=runs/larger \
        --workdir runs/faces
    python train.py --config configs/celeb_a.py:width=0.5,resolution=128 \
        --config.teacher=runs/larger --workdir runs/faces_50_128
    python train.py --config configs/celeb_a.py:smoke --workdir runs/smoke

MobileNetV1, arXiv:1704.04861, Sec. 4.5 and Table 12: a classifier of face attributes,
trained on the outputs of a larger network instead of labels, without weight decay and
without early stopping. The paper's faces are in-house; CelebA stands in for them, and
docs/guides/face_attributes.md has its figures, not to be compared. Not run here.

`larger` is EfficientNet-B2, trained on the labels: the paper's larger network has 7.5 M
parameters. Without --config.teacher a MobileNet is trained on the labels, too. The
recipe is ours. A face is resized as a whole, 218 by 178 pixels to a square, so that
hats and collars stay in; none of the attributes knows left from right. Evaluated are
the 19,867 images of the split validation; --config.dataset.eval_split=test has 19,962.
"""

import dataclasses

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults
from mobilenets.errors import UserError
from mobilenets.networks.architectures.efficientnet import RELEASED


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument may hold width= and resolution=, or larger; and smoke."""
    arg = recipes.parse_arg(arg, width=1.0, resolution=224, larger=False, smoke=False)
    if arg.larger and (arg.width, arg.resolution) != (1.0, 224):
        raise UserError(
            "celeb_a takes larger, or width= and resolution= of a MobileNet, not both."
        )
    config = defaults()
    config.task = dict(name="multilabel")
    config.model = dict(
        name="mobilenet_v1", width_multiplier=arg.width, resolution=arg.resolution
    )
    if arg.larger:
        config.model = dict(
            name="efficientnet_b2", **dataclasses.asdict(RELEASED["b2"])
        )
    config.dataset = dict(name="celeb_a", num_workers=8)
    config.preprocessing.resize = "squash"
    config.preprocessing.crop_fraction = 1.0
    config.augmentation.random_crop.min_area = 0.7

    config.batch_size = 256
    config.epochs = 20.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 1e-3, batch_size=256)
    config.optimizer.weight_decay = 0.0
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.ema_decay = 0.999
    if arg.smoke:
        recipes.smoke(config)
        config.dataset.name = "fashion_collages"
    return config
