"""Batch norm folded into the convolution before it.

In evaluation batch norm is a factor and a term for each channel. The factor goes into
the kernel, the term becomes the bias: Jacob et al. 2017, arXiv:1712.05877, Sec. 3.2.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.detector import DetectorSpec
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.networks.spec import BackboneSpec, backbone_of


def fold(net: TrainedNet) -> TrainedNet:
    """The same network, whose batch norms only add their bias.

    Their scale is 1, their mean 0 and their variance 1 less the network's epsilon, so
    that the module takes the variables as any others.
    """
    params, statistics = {}, {}
    given = net.variables.get("batch_stats", {})
    for module, values in net.variables["params"].items():
        epsilon = _epsilon(net, module)
        params[module], moments = _folded(values, given.get(module, {}), epsilon)
        if moments:
            statistics[module] = moments
    return dataclasses.replace(
        net, variables={"params": params, "batch_stats": statistics}
    )


def _epsilon(net: TrainedNet, module: str) -> float:
    """Of the batch norms in a module of the network."""
    network: Any = net.description.network
    if isinstance(network, BackboneSpec):
        return network.bn_epsilon
    is_of_head = net.model.role(module) == "head"
    has_own = isinstance(network, DetectorSpec | SegmenterSpec)
    of_head = has_own and is_of_head
    return network.bn_epsilon if of_head else backbone_of(network).bn_epsilon


def _folded(params: Any, statistics: Any, epsilon: float) -> tuple[Any, Any]:
    """Parameters and statistics of a module; what has no batch norm is unchanged."""
    if "bn" in params:
        return _folded_pair(params, statistics, epsilon)
    if "kernel" in params:
        return params, {}
    pairs = {
        name: _folded(values, statistics.get(name, {}), epsilon)
        for name, values in params.items()
    }
    moments = {name: second for name, (_, second) in pairs.items() if second}
    return {name: first for name, (first, _) in pairs.items()}, moments


def _folded_pair(params: Any, moments: Any, epsilon: float) -> tuple[Any, Any]:
    """A convolution and its batch norm. The products are in float64."""
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), (params, moments["bn"]))
    norm, (mean, variance) = exact[0]["bn"], (exact[1]["mean"], exact[1]["var"])
    factor = norm["scale"] / np.sqrt(variance + epsilon)
    ones = np.ones_like(factor)
    folded = {
        "conv": {"kernel": exact[0]["conv"]["kernel"] * factor},
        "bn": {"scale": ones, "bias": norm["bias"] - mean * factor},
    }
    moments = {"bn": {"mean": 0 * ones, "var": ones - epsilon}}
    return jax.tree.map(np.float32, (folded, moments))
