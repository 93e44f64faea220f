"""What `mobilenets scale` prints about scaled networks, as JSON and as tables.

Costs are counted with 1000 classes; MAdds are multiply-adds for one image.
"""

import dataclasses
from typing import Any

from mobilenets.networks import complexity, scaling
from mobilenets.networks.architectures.efficientnet import RELEASED
from mobilenets.networks.scaling import Coefficients, Multipliers, ScaledNet
from mobilenets.networks.spec import ClassifierSpec

PHIS = range(8)  # of a series: EfficientNet-B7 is at about 7


@dataclasses.dataclass(frozen=True)
class Facts:
    """A network and its cost."""

    multipliers: Multipliers
    resolution: int  # pixels
    parameters: int
    madds: int
    madds_to_baseline: float  # the baseline's are 1
    dropout_rate: float


@dataclasses.dataclass(frozen=True)
class Scaled:
    """A network by Eq. 3."""

    phi: float
    facts: Facts

    def as_json(self) -> dict[str, Any]:
        """What is printed."""
        return {"phi": self.phi, **dataclasses.asdict(self.facts)}


@dataclasses.dataclass(frozen=True)
class Released:
    """A released EfficientNet, whose multipliers were rounded by hand."""

    name: str
    facts: Facts
    implied_phi: dict[str, float]  # see `scaling.implied_phi`

    def as_json(self) -> dict[str, Any]:
        """What is printed."""
        facts = dataclasses.asdict(self.facts)
        return {"name": self.name, **facts, "implied_phi": self.implied_phi}


@dataclasses.dataclass(frozen=True)
class One:
    """One network; of EfficientNet also the released one with the nearest MAdds."""

    family: str
    coefficients: Coefficients
    net: Scaled
    nearest_released: Released | None

    def as_json(self) -> dict[str, Any]:
        """What is printed."""
        result = {**_heading(self), **self.net.as_json()}
        if self.nearest_released:
            result["nearest_released"] = self.nearest_released.as_json()
        return result


@dataclasses.dataclass(frozen=True)
class Series:
    """The networks of several phi; of EfficientNet also the released ones."""

    family: str
    coefficients: Coefficients
    nets: tuple[Scaled, ...]
    released: tuple[Released, ...]

    def as_json(self) -> dict[str, Any]:
        """What is printed."""
        result = {**_heading(self), "nets": [net.as_json() for net in self.nets]}
        if self.released:
            result["released"] = [net.as_json() for net in self.released]
        return result


def one(family: str, net: ScaledNet) -> One:
    """A scaled network, its cost beside the baseline's, and the nearest released one.

    Args:
      family: of the network, a key of `scaling.FAMILIES`.
      net: the network.
    """
    nearest = None
    if family == "efficientnet":
        variant = scaling.nearest_released(net.madds)
        nearest = _released(variant, net.coefficients)
    return One(family, net.coefficients, _scaled(family, net), nearest)


def series(family: str, coefficients: Coefficients) -> Series:
    """The networks of phi 0 to 7, and EfficientNet's released ones beside them.

    Args:
      family: a key of `scaling.FAMILIES`.
      coefficients: alpha, beta and gamma.

    Raises:
      UserError: there is no such family.
    """
    nets = (scaling.scaled_net(family, phi, coefficients) for phi in PHIS)
    variants = RELEASED if family == "efficientnet" else ()
    return Series(
        family,
        coefficients,
        tuple(_scaled(family, net) for net in nets),
        tuple(_released(variant, coefficients) for variant in variants),
    )


def _heading(report: One | Series) -> dict[str, Any]:
    coefficients = dataclasses.asdict(report.coefficients)
    return {"family": report.family, "coefficients": coefficients}


def _scaled(family: str, net: ScaledNet) -> Scaled:
    return Scaled(net.phi, _facts(family, net.multipliers, net.spec))


def _released(variant: str, coefficients: Coefficients) -> Released:
    multipliers = scaling.released(variant)
    spec = scaling.scaled_spec("efficientnet", multipliers)
    spec = dataclasses.replace(spec, dropout_rate=RELEASED[variant].dropout_rate)
    return Released(
        f"efficientnet_{variant}",
        _facts("efficientnet", multipliers, spec),
        scaling.implied_phi(multipliers, coefficients),
    )


def _facts(family: str, multipliers: Multipliers, spec: ClassifierSpec) -> Facts:
    madds = complexity.madds(spec)
    return Facts(
        multipliers,
        spec.resolution,
        complexity.params(spec),
        madds,
        madds / scaling.scaled_net(family, 0).madds,
        spec.dropout_rate,
    )
