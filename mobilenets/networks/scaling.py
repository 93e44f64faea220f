"""Compound scaling, Tan and Le 2019, EfficientNet, arXiv:1905.11946: as plain data.

A baseline grows in depth d, width w and resolution r together: d = alpha**phi,
w = beta**phi, r = gamma**phi (Eq. 3), where alpha * beta**2 * gamma**2 is about 2, so
that each step of phi doubles the MAdds. Scaling one dimension alone, as in the paper's
Table 3, is the same rule with other constants.
"""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Callable
from functools import partial

from mobilenets.errors import UserError, unknown
from mobilenets.networks import complexity
from mobilenets.networks.architectures import replace
from mobilenets.networks.architectures.efficientnet import RELEASED, efficientnet
from mobilenets.networks.architectures.mobilenet_v1 import mobilenet_v1
from mobilenets.networks.architectures.mobilenet_v2 import mobilenet_v2
from mobilenets.networks.architectures.resnet import resnet
from mobilenets.networks.spec import ClassifierSpec, with_backbone

BASE_RESOLUTION = 224  # of every baseline; r = 1

# A thousand times the baseline's MAdds, or a thousandth: enough for anything trained
# so far, and few enough layers to count in an instant.
MAX_PHI = 10
# `largest` tries multiples of this, so that the phi it prints gives the same net again.
PHI_STEP = 1e-4


@dataclasses.dataclass(frozen=True)
class Coefficients:
    """The constants of Eq. 3: the factor of each dimension for one step of phi.

    Raises:
      UserError: one is below 1 (the paper's condition) or above 2 (depth alone would
        more than double the MAdds at phi = 1).
    """

    alpha: float  # depth
    beta: float  # width
    gamma: float  # resolution

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if not 1 <= value <= 2:
                raise UserError(f"{name} must be from 1 to 2, but is {value:g}.")

    @property
    def growth(self) -> float:
        """The approximate factor of the MAdds for one step of phi (Sec. 3.3)."""
        return self.alpha * self.beta**2 * self.gamma**2


@dataclasses.dataclass(frozen=True)
class Multipliers:
    """The multipliers of a baseline: d, w and r of Eq. 2.

    Raises:
      UserError: one is not above 0, or too large for `MAX_PHI`.
    """

    depth: float
    width: float
    resolution: float

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if not 0 < value <= 2**MAX_PHI:
                raise UserError(
                    f"The multiplier of {name} must be above 0 and at most "
                    f"{2**MAX_PHI}, but is {value:g}."
                )

    @property
    def pixels(self) -> int:
        """Height and width of the input; the paper does not say how it is rounded."""
        return round(BASE_RESOLUTION * self.resolution)


# The paper's ways to scale: compound (Sec. 4, step 1), and along one dimension. The
# latter double the MAdds too, so phi = 2 is the d = 4, w = 2 and r = 2 of Table 3.
METHODS = {
    "compound": Coefficients(1.2, 1.1, 1.15),
    "depth": Coefficients(2, 1, 1),
    "width": Coefficients(1, math.sqrt(2), 1),
    "resolution": Coefficients(1, 1, math.sqrt(2)),
}


# What the paper scales. How it rounds the widths of MobileNetV1 it does not say: here
# they are multiples of 8, as those of the others.
FAMILIES: dict[str, Callable[..., ClassifierSpec]] = {
    "efficientnet": partial(efficientnet, "b0"),
    "mobilenet_v1": partial(mobilenet_v1, rounding="make_divisible"),
    "mobilenet_v2": mobilenet_v2,
    "resnet50": partial(resnet, 50),
}


@dataclasses.dataclass(frozen=True)
class ScaledNet:
    """A network and how it was scaled. Its cost is counted with 1000 classes."""

    phi: float
    coefficients: Coefficients
    multipliers: Multipliers
    spec: ClassifierSpec

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return complexity.params(self.spec)

    @property
    def madds(self) -> int:
        """Multiply-adds for one image of `spec.resolution` squared pixels."""
        return complexity.madds(self.spec)


def method(name: str) -> Coefficients:
    """The coefficients of one of `METHODS`.

    Raises:
      UserError: there is no such method.
    """
    if name not in METHODS:
        raise unknown("scaling method", name, METHODS)
    return METHODS[name]


def multipliers(
    phi: float, coefficients: Coefficients = METHODS["compound"]
) -> Multipliers:
    """Eq. 3: depth, width and resolution at one phi.

    Args:
      phi: 0 is the baseline, 1 about twice its MAdds, -1 about half of them.
      coefficients: alpha, beta and gamma.

    Raises:
      UserError: phi is not a number from -10 to 10.

    >>> multipliers(2)
    Multipliers(depth=1.44, width=1.21, resolution=1.3225)
    """
    if not -MAX_PHI <= phi <= MAX_PHI:
        raise UserError(
            f"phi must be a number from {-MAX_PHI} to {MAX_PHI}, but is {phi:g}: each "
            "step doubles the MAdds, and B7 is at about 7."
        )
    # Rounded, since noise in the last digit would add a layer: repeats are rounded up.
    return Multipliers(
        *(round(base**phi, 9) for base in dataclasses.astuple(coefficients))
    )


def dropout_rate(phi: float) -> float:
    """Dropout of a scaled EfficientNet.

    Sec. 5.2 has it grow linearly from 0.2 for B0 to 0.5 for B7. Here B0 is phi = 0 and
    B7 is phi = 7, and it stays at those two values outside.

    >>> round(dropout_rate(3.5), 3)
    0.35
    """
    return min(0.5, max(0.2, 0.2 + 0.3 * phi / 7))


def scaled_spec(family: str, multipliers: Multipliers) -> ClassifierSpec:
    """The baseline of a family, scaled by the given multipliers. Dropout is unchanged.

    Use it where no phi is exact: for the rows of Table 3 and the released networks,
    whose multipliers were rounded by hand.

    Args:
      family: a key of `FAMILIES`, and the name of the result.
      multipliers: of depth (repeats are rounded up), width (channels are rounded to
        multiples of 8) and resolution.

    Raises:
      UserError: the family is unknown, or the resolution is smaller than the network's
        output stride.
    """
    spec = _baseline(family)(
        width_multiplier=multipliers.width,
        depth_multiplier=multipliers.depth,
        resolution=multipliers.pixels,
    )
    # `replace` refuses a resolution below the output stride.
    return replace(with_backbone(spec, name=family))


def scaled_net(
    family: str, phi: float, coefficients: Coefficients = METHODS["compound"]
) -> ScaledNet:
    """The network of a family at one phi, by Eq. 3.

    Its MAdds are those of the baseline times `coefficients.growth` to the power of phi,
    up to rounding. Rounding matters: any phi above 0 adds a layer to every stage, so
    EfficientNet at phi = 1 has 2.6 times the MAdds of B0.

    Args:
      family: see `scaled_spec`.
      phi: see `multipliers`.
      coefficients: see `multipliers`.

    Raises:
      UserError: see `multipliers` and `scaled_spec`.
    """
    by = multipliers(phi, coefficients)
    spec = scaled_spec(family, by)
    if family == "efficientnet":
        spec = replace(spec, dropout_rate=dropout_rate(phi))
    return ScaledNet(phi, coefficients, by, spec)


def grid(family: str, step: float = 0.05, tolerance: float = 0.1) -> list[ScaledNet]:
    """The candidates in the paper's search of alpha, beta and gamma.

    Sec. 4, step 1: phi = 1 and alpha * beta**2 * gamma**2 about 2; the best network
    after training is chosen. The paper gives neither the grid nor the tolerance.
    Neighbours can be the same network, because repeats are rounded up.

    Args:
      family: a key of `FAMILIES`.
      step: the distance between neighbours. The paper's values, 1.2, 1.1 and 1.15, are
        multiples of the default.
      tolerance: how far the product may be from 2. For the paper's values it is 1.92.

    Raises:
      UserError: the family is unknown, the step is not from 0.01 to 1 (below, there are
        a million points), or the tolerance is not from 0 to 1.
    """
    if not 0.01 <= step <= 1:
        raise UserError(f"The step must be from 0.01 to 1, but is {step:g}.")
    if not 0 <= tolerance <= 1:
        raise UserError(f"The tolerance must be from 0 to 1, but is {tolerance:g}.")
    values = [round(1 + i * step, 9) for i in range(math.floor(1 / step + 1e-9) + 1)]
    points = itertools.starmap(Coefficients, itertools.product(values, repeat=3))
    return [
        scaled_net(family, 1, point)
        for point in points
        if abs(point.growth - 2) <= tolerance + 1e-9
    ]


def largest(
    family: str,
    coefficients: Coefficients = METHODS["compound"],
    *,
    max_madds: float | None = None,
    max_params: float | None = None,
) -> ScaledNet:
    """The largest network of a family within a budget: Eq. 2, scaled by Eq. 3.

    MAdds and parameters never shrink as phi grows, so a bisection finds the last
    multiple of `PHI_STEP` that fits. A phi below 0 scales the baseline down.

    Args:
      family: a key of `FAMILIES`.
      coefficients: alpha, beta and gamma.
      max_madds: multiply-adds for one image; None sets no limit.
      max_params: trainable parameters; None sets no limit.

    Raises:
      UserError: the family is unknown, no limit is given, even the smallest network
        (phi = -10, or a resolution of one output stride) is over it, or even phi = 10
        is within it.
    """
    limits = {"MAdds": max_madds, "parameters": max_params}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    if not limits:
        raise UserError("A budget is needed: a limit of MAdds, of parameters, or both.")

    def net(step: int) -> ScaledNet:
        return scaled_net(family, round(step * PHI_STEP, 9), coefficients)

    def has_a_map(step: int) -> bool:
        phi = round(step * PHI_STEP, 9)
        return multipliers(phi, coefficients).pixels >= output_stride

    def is_over(step: int) -> bool:
        costs = _costs(net(step))
        return not all(costs[name] <= limit for name, limit in limits.items())

    output_stride = _baseline(family)().backbone.output_stride
    steps = range(-round(MAX_PHI / PHI_STEP), round(MAX_PHI / PHI_STEP) + 1)
    first = bisect.bisect_left(steps, True, key=has_a_map)
    end = bisect.bisect_left(steps, True, lo=first, key=is_over)
    budget = " and ".join(f"{limit:,.0f} {name}" for name, limit in limits.items())
    if end == first:
        raise UserError(
            f"No {family} fits into {budget}: the smallest is "
            f"{_in_words(net(steps[first]))}."
        )
    if end == len(steps):
        raise UserError(
            f"{budget} do not limit {family}: even {_in_words(net(steps[-1]))} fits."
        )
    return net(steps[end - 1])


def released(variant: str) -> Multipliers:
    """The multipliers by which B0 was scaled to a released network.

    Args:
      variant: "b0" to "b7".

    Raises:
      UserError: there is no such network.
    """
    if variant not in RELEASED:
        raise unknown("EfficientNet", variant, RELEASED)
    values = RELEASED[variant]
    return Multipliers(
        values.depth_multiplier,
        values.width_multiplier,
        values.resolution / BASE_RESOLUTION,
    )


def implied_phi(
    multipliers: Multipliers, coefficients: Coefficients = METHODS["compound"]
) -> dict[str, float]:
    """The phi that each multiplier implies by itself: Eq. 3 solved for it.

    They would be equal if the multipliers came from Eq. 3. Those of the released
    networks were rounded by hand.

    Args:
      multipliers: of a network.
      coefficients: a dimension whose coefficient is 1 implies nothing and is left out.

    >>> {name: round(phi, 1) for name, phi in implied_phi(released("b4")).items()}
    {'depth': 3.2, 'width': 3.5, 'resolution': 3.8}
    """
    bases = dataclasses.astuple(coefficients)
    values = dataclasses.asdict(multipliers).items()
    return {
        name: math.log(value) / math.log(base)
        for (name, value), base in zip(values, bases, strict=True)
        if base > 1
    }


def nearest_released(madds: int) -> str:
    """The released EfficientNet, "b0" to "b7", with the nearest MAdds by ratio."""

    def distance(variant: str) -> float:
        spec = scaled_spec("efficientnet", released(variant))
        return abs(math.log(complexity.madds(spec) / madds))

    return min(RELEASED, key=distance)


def _baseline(family: str) -> Callable[..., ClassifierSpec]:
    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    return FAMILIES[family]


def _costs(net: ScaledNet) -> dict[str, int]:
    """Counted in one go: at phi = 10 there can be ten thousands of layers."""
    layers = complexity.layers(net.spec)
    return {
        "MAdds": sum(layer.madds for layer in layers),
        "parameters": sum(layer.params for layer in layers),
    }


def _in_words(net: ScaledNet) -> str:
    costs = " and ".join(f"{cost:,} {name}" for name, cost in _costs(net).items())
    return f"phi = {net.phi:g} at {net.spec.resolution} pixels with {costs}"
