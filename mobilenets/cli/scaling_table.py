"""What `mobilenets scale` tells of scaled networks, as plain data for JSON and tables.

Costs are counted with 1000 classes; MAdds are multiply-adds for one image.
"""

import dataclasses
from typing import Any

from mobilenets.networks import complexity, scaling
from mobilenets.networks.architectures.efficientnet import RELEASED
from mobilenets.networks.scaling import Coefficients, Multipliers, ScaledNet
from mobilenets.networks.spec import ClassifierSpec

PHIS = range(8)  # of a series: EfficientNet-B7 is at about 7


def one(family: str, net: ScaledNet) -> dict[str, Any]:
    """A scaled network, its cost beside the baseline's, and the nearest released one.

    Args:
      family: of the network, a key of `scaling.FAMILIES`.
      net: the network.
    """
    facts = {
        "family": family,
        "coefficients": dataclasses.asdict(net.coefficients),
        **_scaled(family, net),
    }
    if family == "efficientnet":
        variant = scaling.nearest_released(net.madds)
        facts["nearest_released"] = _released(variant, net.coefficients)
    return facts


def series(family: str, coefficients: Coefficients) -> dict[str, Any]:
    """The networks of phi 0 to 7, and EfficientNet's released ones beside them.

    Args:
      family: a key of `scaling.FAMILIES`.
      coefficients: alpha, beta and gamma.

    Raises:
      UserError: there is no such family.
    """
    nets = [scaling.scaled_net(family, phi, coefficients) for phi in PHIS]
    facts = {
        "family": family,
        "coefficients": dataclasses.asdict(coefficients),
        "nets": [_scaled(family, net) for net in nets],
    }
    if family == "efficientnet":
        facts["released"] = [_released(variant, coefficients) for variant in RELEASED]
    return facts


def _scaled(family: str, net: ScaledNet) -> dict[str, Any]:
    return {"phi": net.phi, **_facts(family, net.multipliers, net.spec)}


def _released(variant: str, coefficients: Coefficients) -> dict[str, Any]:
    multipliers = scaling.released(variant)
    spec = scaling.scaled_spec("efficientnet", multipliers)
    dropout_rate = RELEASED[variant].dropout_rate
    return {
        "name": f"efficientnet_{variant}",
        **_facts("efficientnet", multipliers, spec),
        "dropout_rate": dropout_rate,
        "implied_phi": scaling.implied_phi(multipliers, coefficients),
    }


def _facts(
    family: str, multipliers: Multipliers, spec: ClassifierSpec
) -> dict[str, Any]:
    madds = complexity.madds(spec)
    return {
        "multipliers": dataclasses.asdict(multipliers),
        "resolution": spec.resolution,
        "parameters": complexity.params(spec),
        "madds": madds,
        "madds_to_baseline": madds / scaling.scaled_net(family, 0).madds,
        "dropout_rate": spec.dropout_rate,
    }
