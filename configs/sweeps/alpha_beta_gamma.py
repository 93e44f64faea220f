"""EfficientNet's search of alpha, beta and gamma at phi = 1, on the embedded images.

    mobilenets sweep --config configs/sweeps/alpha_beta_gamma.py --workdir runs/grid

The paper's Sec. 4, step 1, arXiv:1905.11946: fix phi = 1 at twice the cost, try how to
share it between depth, width and resolution. Here alpha and beta are a grid, and gamma
is what makes the MAdds twice those of the small baseline in `study.py`.
"""

import math

from mobilenets.networks.scaling import Multipliers
from mobilenets.sweeps import study
from mobilenets.sweeps.definition import Choices, Sweep

ALPHAS = (1.0, 1.2, 1.5)
BETAS = (1.0, 1.15, 1.3, 1.5)
TOLERANCE = 0.12  # of the MAdds: how far a point may be from twice the baseline's


def get_sweep() -> Sweep:
    """The sweep."""
    return Sweep(
        config="quickstart",
        values=study.RECIPE,
        parameters={"model": Choices(values=tuple(map(_model, points())))},
    )


def points() -> list[Multipliers]:
    """Alpha, beta and gamma of each point: depth, width and resolution at phi = 1."""
    baseline = study.BASELINES["efficientnet"]
    target = 2 * study.madds(baseline.model(Multipliers(1, 1, 1)))
    result = []
    for alpha in ALPHAS:
        for beta in BETAS:
            candidates = [
                Multipliers(alpha, beta, pixels / baseline.resolution)
                for pixels in range(baseline.resolution, 2 * baseline.resolution)
            ]
            costs = [study.madds(baseline.model(by)) / target for by in candidates]
            nearest = min(zip(costs, candidates, strict=True), key=_distance)
            if abs(nearest[0] - 1) <= TOLERANCE:
                result.append(nearest[1])
    return result


def _distance(cost_and_point: tuple[float, Multipliers]) -> float:
    return abs(math.log(cost_and_point[0]))


def _model(by: Multipliers) -> dict:
    return study.BASELINES["efficientnet"].model(by)
