"""Small SSDLite detectors on the embedded scenes: backbone, width and resolution.

    mobilenets sweep --config configs/sweeps/detectors.py --dry-run
    mobilenets sweep --config configs/sweeps/detectors.py --workdir runs/detectors
    mobilenets report runs/detectors

Eight trainings of the detection quick start's kind, half as long. The accuracy of the
report is COCO's AP.
"""

from mobilenets.sweeps.definition import Choices, Sweep

BACKBONES = ("ssdlite_mobilenet_v2", "ssdlite_mobilenet_v3_small")


def get_sweep() -> Sweep:
    """The sweep."""
    return Sweep(
        config="ssdlite_quickstart",
        values={"epochs": 6.0, "model.scores": "softmax", "model.bn_momentum": 0.9},
        parameters={
            "model.name": Choices(values=BACKBONES),
            "model.width_multiplier": Choices(values=(0.5, 1.0)),
            "model.resolution": Choices(values=(96, 160)),
        },
    )
