"""What the sweeps of the scaling study share: its small networks, and equal cost.

`python -m studies.scaling_study FOLDER` runs them.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from mobilenets.networks import complexity, scaling
from mobilenets.networks.architectures import get_spec
from mobilenets.networks.scaling import Coefficients, Multipliers

CLASSES = 10  # of the embedded data set
SEEDS = (0, 1)

# The quick start's recipe, but a ninth as long and so with less against overfitting, in
# small batches: with large ones a deep network has too few steps to learn anything, and
# loses for that alone. The study's page was measured with these values.
RECIPE = {
    "batch_size": 32,
    "epochs": 2.0,
    "evaluate_every_epochs": 2.0,
    "optimizer.weight_decay": 0.2,
    "augmentation.random_crop.min_area": 1.0,
    "augmentation.random_crop.max_aspect_ratio": 1.0,
}


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A network so small, a million MAdds, that eight times it trains in minutes.

    The images have 28 pixels, so that 24 leave something to see at a higher resolution.
    """

    name: str
    width: float
    depth: float
    resolution: int = 24

    def model(self, by: Multipliers) -> dict[str, Any]:
        """The config's `model` of the network scaled by the multipliers."""
        return {
            "name": self.name,
            "width_multiplier": round(self.width * by.width, 4),
            "depth_multiplier": round(self.depth * by.depth, 4),
            "resolution": round(self.resolution * by.resolution),
            "stem_stride": 1,
        }


BASELINES = {
    "efficientnet": Baseline("efficientnet_b0", width=0.2, depth=0.25),
    "mobilenet_v1": Baseline("mobilenet_v1", width=0.25, depth=0.34),
    "mobilenet_v2": Baseline("mobilenet_v2", width=0.15, depth=0.25),
    "resnet": Baseline("resnet50", width=0.0625, depth=0.16),
}


def madds(model: dict[str, Any]) -> int:
    """Multiply-adds of a config's `model` for one image."""
    return complexity.madds(get_spec(**model), CLASSES)


def scaled(
    family: str, phis: Iterable[int], chosen: Coefficients | None = None
) -> dict[tuple[str, int], dict[str, Any]]:
    """A family's `model` at 2**phi times its cost, by scaling method and phi.

    At phi = 0 all methods are the baseline, which is there once, as "baseline".

    Args:
      family: a key of `BASELINES`.
      phis: above 0.
      chosen: alpha, beta and gamma of a search, as the method "chosen" beside those of
        `scaling.METHODS`; left out where it grows in one dimension alone, as one of
        those does.
    """
    baseline = BASELINES[family]
    smallest = baseline.model(Multipliers(1, 1, 1))
    methods = dict(scaling.METHODS)
    if chosen and sum(value > 1 for value in dataclasses.astuple(chosen)) > 1:
        methods["chosen"] = chosen
    return {("baseline", 0): smallest} | {
        (name, phi): at_cost(baseline, coefficients, 2**phi * madds(smallest))
        for name, coefficients in methods.items()
        for phi in phis
    }


def at_cost(baseline: Baseline, coefficients: Coefficients, target: float) -> dict:
    """The `model` whose MAdds are nearest to the target, by ratio.

    Channels and layers are whole, so that no phi gives the target exactly.

    Args:
      baseline: what grows.
      coefficients: the direction in which.
      target: MAdds for one image.
    """
    phis = [step / 20 for step in range(20 * 5)]
    models = [baseline.model(scaling.multipliers(phi, coefficients)) for phi in phis]
    return min(models, key=lambda model: abs(math.log(madds(model) / target)))
