"""Compound scaling of a small EfficientNet against one dimension, at equal MAdds.

    mobilenets sweep --config configs/sweeps/compound_scaling.py --workdir runs/compound

The paper's Figure 8, arXiv:1905.11946, on the embedded images: from phi = 0 to phi = 3,
each network with 2**phi times the multiply-adds of the baseline in `study.py`, as near
as whole layers and channels allow. What a search has chosen may follow a colon:
compound_scaling.py:alpha=1.2,beta=1.3,gamma=1.1.
"""

from mobilenets.config import recipes
from mobilenets.networks.scaling import Coefficients
from mobilenets.sweeps import study
from mobilenets.sweeps.definition import Choices, Sweep


def get_sweep(arg: str | None = None) -> Sweep:
    """The sweep; with alpha, beta and gamma given they are a method, too."""
    arg = recipes.parse_arg(arg, alpha=1.0, beta=1.0, gamma=1.0)
    chosen = Coefficients(arg.alpha, arg.beta, arg.gamma)
    models = study.scaled("efficientnet", (1, 2, 3), chosen)
    return Sweep(
        config="quickstart",
        values=study.RECIPE,
        parameters={
            "seed": Choices(values=study.SEEDS),
            "model": Choices(values=tuple(models.values())),
        },
    )
