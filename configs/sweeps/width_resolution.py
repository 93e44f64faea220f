"""MobileNetV3-Small on the embedded images: width against resolution, a grid.

    mobilenets sweep --config configs/sweeps/width_resolution.py --dry-run
    mobilenets sweep --config configs/sweeps/width_resolution.py --workdir runs/widths
    mobilenets report runs/widths

Nine trainings of the quick start's kind, a third as long. The question is that of
MobileNetV1, arXiv:1704.04861, Tables 6 and 7: is a thin network better at many pixels,
or a wide one at few?
"""

from mobilenets.sweeps.definition import Choices, Sweep


def get_sweep() -> Sweep:
    """The sweep."""
    return Sweep(
        config="quickstart",
        values={"epochs": 6.0},
        parameters={
            "model.width_multiplier": Choices(values=(0.25, 0.5, 0.75)),
            "model.resolution": Choices(values=(16, 24, 32)),
        },
    )
