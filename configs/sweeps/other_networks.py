"""Small MobileNetV1, MobileNetV2 and ResNet, scaled to four times their MAdds.

    mobilenets sweep --config configs/sweeps/other_networks.py --workdir runs/others

The paper's Table 3, arXiv:1905.11946, on the embedded images: each baseline in
`study.py` alone, deeper, wider, at more pixels, and all of it at once. alpha, beta and
gamma of a search may follow a colon, as in `compound_scaling.py`.
"""

from configs import common
from configs.sweeps import study
from mobilenets.scaling import Coefficients
from mobilenets.sweeps.definition import Choices, Sweep

FAMILIES = ("mobilenet_v1", "mobilenet_v2", "resnet")


def get_sweep(arg: str | None = None) -> Sweep:
    """The sweep; with alpha, beta and gamma given they are a method, too."""
    arg = common.parse_arg(arg, alpha=1.0, beta=1.0, gamma=1.0)
    chosen = Coefficients(arg.alpha, arg.beta, arg.gamma)
    models = [
        model
        for family in FAMILIES
        for model in study.scaled(family, (2,), chosen).values()
    ]
    return Sweep(
        config="configs/quickstart.py",
        values=study.RECIPE,
        parameters={
            "seed": Choices(values=study.SEEDS),
            "model": Choices(values=tuple(models)),
        },
    )
