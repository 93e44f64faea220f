r"""SSDLite on MobileNetV3-Small finds clothes in composed scenes: minutes on a CPU.

    python train.py --config configs/ssdlite_quickstart.py --workdir runs/scenes
    python train.py --config configs/ssdlite_quickstart.py:smoke --workdir runs/smoke

Ours, not a paper's. The scenes are composed of the embedded clothes on random
backgrounds, and written to disk once, as a COCO data set. It shows that everything
works, and is no evidence of accuracy on photographs. For your own, with weights to
start from, see configs/ssdlite_finetune.py.

The garments are small, and at 160 pixels the papers' finest map has a pixel for 16. So
there is one more map before it, and the anchors begin at a tenth of the image.
"""

import dataclasses
import math

import ml_collections

from mobilenets.config import recipes
from mobilenets.config.values import defaults
from mobilenets.networks.architectures.ssd import anchor, get_detector
from mobilenets.networks.detector import DetectorSpec

# Of the anchors on each map, of 20, 10, 5, 3 and 2 pixels: the scale, and a larger one,
# for a square between the two.
SCALES = ((0.1, 0.15), (0.2, 0.3), (0.35, 0.45), (0.55, 0.65), (0.8, 0.9))
RATIOS = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)


def detector() -> DetectorSpec:
    """SSDLite on MobileNetV3-Small with a map at stride 8 and two extra layers."""
    spec = get_detector(
        "ssdlite_mobilenet_v3_small",
        resolution=160,
        scores="softmax",
        bn_momentum=0.9,  # 1,500 steps are few for 0.97
    )
    anchors = tuple(
        (
            *(anchor(scale, ratio) for ratio in RATIOS),
            anchor(math.sqrt(scale * larger), 1.0),
        )
        for scale, larger in SCALES
    )
    return dataclasses.replace(
        spec,
        name=f"{spec.name}_stride_8",
        features=("block3/expand", *spec.features),
        extras=spec.extras[:2],
        anchors=anchors,
    )


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The run; the argument is "smoke" or nothing."""
    arg = recipes.parse_arg(arg, smoke=False)
    config = defaults()
    config.task = dict(name="detection", loss="mined_softmax")
    config.model = dict(spec=dataclasses.asdict(detector()))
    config.dataset = dict(name="fashion_scenes")
    config.preprocessing.resize = "squash"
    config.preprocessing.crop_fraction = 1.0
    # No crops: what they leave of a garment at the border has no box.
    config.augmentation = dict(flip={})

    config.batch_size = 16
    config.epochs = 12.0
    config.optimizer.name = "adamw"
    recipes.scale_learning_rate(config, 2e-3, batch_size=16)
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 10.0
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.ema_decay = 0.98

    config.log_every_steps = 20
    config.evaluate_every_epochs = 6.0
    if arg.smoke:
        recipes.smoke_detection(config)
    return config
