r"""Attributes at several widths and two resolutions, all taught by one larger network.

    mobilenets sweep --config configs/sweeps/face_attributes.py:teacher=runs/larger \
        --workdir runs/faces
    mobilenets sweep --config configs/sweeps/face_attributes.py:desk,teacher=runs/c \
        --workdir runs/desk
    mobilenets report runs/faces

The shape of MobileNetV1's Table 12, arXiv:1704.04861: mean average precision against
MAdds. The first command is for CelebA, with a teacher that configs/celeb_a.py:larger
has trained. `desk` is for minutes on a CPU, on the embedded collages, with a teacher of
them: `python -m studies.face_attributes FOLDER` trains that, too.
"""

from typing import Any

from mobilenets.config import recipes
from mobilenets.sweeps.definition import Choices, Sweep

# What is tried: widths and resolutions.
PAPER = ((1.0, 0.5, 0.25), (224, 128))
ON_A_DESK = ((0.25, 0.125, 0.0625), (48, 32))

# The quick start's recipe for MobileNetV1, shorter, on images that do not change: so
# the teacher sees each of them once, for all networks of the sweep.
DESK: dict[str, Any] = {
    "model.name": "mobilenet_v1",
    "model.dropout_rate": 0.0,
    "augmentation.random_crop": None,
    "augmentation.flip": None,
    "batch_size": 32,
    "epochs": 5.0,
    "evaluate_every_epochs": 5.0,
    "optimizer.weight_decay": 0.0,
}


def get_sweep(arg: str | None = None) -> Sweep:
    """The sweep; without a teacher the networks are trained on the labels."""
    arg = recipes.parse_arg(arg, teacher="", outputs="", desk=False)
    widths, resolutions = ON_A_DESK if arg.desk else PAPER
    values = dict(DESK) if arg.desk else {}
    if arg.teacher:
        values["teacher"] = arg.teacher
    if arg.outputs:
        values["distillation.outputs"] = arg.outputs
    return Sweep(
        config="multilabel_quickstart" if arg.desk else "celeb_a",
        values=values,
        parameters={
            "model.width_multiplier": Choices(values=widths),
            "model.resolution": Choices(values=resolutions),
        },
    )
