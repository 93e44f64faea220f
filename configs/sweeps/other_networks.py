"""Small MobileNetV1, MobileNetV2 and ResNet, scaled to four times their MAdds.

    mobilenets sweep --config configs/sweeps/other_networks.py --workdir runs/others

The paper's Table 3, arXiv:1905.11946, on the embedded images: each baseline in
`study.py` alone, deeper, wider, at more pixels, and all of it at once.
"""

from mobilenets.sweeps import study
from mobilenets.sweeps.definition import Choices, Sweep

FAMILIES = ("mobilenet_v1", "mobilenet_v2", "resnet")


def get_sweep() -> Sweep:
    """The sweep."""
    models = [
        model for family in FAMILIES for model in study.scaled(family, (2,)).values()
    ]
    return Sweep(
        config="quickstart",
        values=study.RECIPE,
        parameters={
            "seed": Choices(values=study.SEEDS),
            "model": Choices(values=tuple(models)),
        },
    )
