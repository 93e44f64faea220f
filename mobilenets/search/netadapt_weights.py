"""The weights of a network with fewer channels, in its own shapes or in wider ones.

A proposal is trained in the shapes of the network that the adaptation began with: its
weights are `padded` by zeros. A channel whose filters, scale and bias are 0 is 0, and
so is every gradient that leads to it. So the zeros are a mask that stays: the one
compiled step trains any proposal, and after it the weights are `truncated`.
"""

from typing import Any

import jax
import numpy as np

from mobilenets.networks.spec import ClassifierSpec
from mobilenets.nn.build import build
from mobilenets.nn.classifier import OUTPUT_LAYER
from mobilenets.nn.initialization import init_variables
from mobilenets.search import netadapt_widths

# What the widths of a layer's input and output are called; "" for one that stays.
_Widths = tuple[str, str]


def shapes(network: ClassifierSpec, num_classes: int) -> Any:
    """{"params", "batch_stats"} of a network, without numbers."""
    model = build(network, num_classes)
    return jax.eval_shape(lambda: init_variables(model, jax.random.key(0)))


def padded(variables: Any, like: Any) -> Any:
    """The variables in the shapes of a wider network; further channels are 0.

    Args:
      variables: of the network.
      like: arrays or shapes of the wider one.
    """

    def pad(x: Any, wider: Any) -> np.ndarray:
        x = np.asarray(x)
        return np.pad(
            x, [(0, b - a) for a, b in zip(x.shape, wider.shape, strict=True)]
        )

    return jax.tree.map(pad, variables, like)


def truncated(variables: Any, like: Any) -> Any:
    """The variables without the channels that `padded` has added.

    Args:
      variables: padded.
      like: arrays or shapes of the network.
    """

    def cut(x: Any, narrower: Any) -> np.ndarray:
        return np.asarray(x)[tuple(map(slice, narrower.shape))]

    return jax.tree.map(cut, variables, like)


def narrowed(variables: Any, network: ClassifierSpec, to: ClassifierSpec) -> Any:
    """The variables without the channels of the smallest filters.

    As in NetAdapt (Sec. 3.3), the filters of the smallest L2 norm go: those of the
    convolution that makes the channel. Of a bottleneck it is the norm over the last
    convolutions of all blocks that share it. Units of squeeze-and-excitation go by
    the norms of its first layer. The others keep their order and their values.

    Args:
      variables: of the network.
      network: the wider one.
      to: the same with fewer channels, see `netadapt_widths.narrower`.
    """
    layers = _layers(network)
    before, after = _channels(network), _channels(to)
    kept = {
        width: _largest(_filter_norms(variables, layers, width), after[width])
        for width in before
        if after[width] < before[width]
    }

    def cut(path: Any, x: Any) -> np.ndarray:
        x = np.asarray(x)
        inputs, outputs = _widths_of(layers, [part.key for part in path[1:]])
        if outputs in kept:
            x = x[..., kept[outputs]]
        if inputs in kept and x.ndim > 1:  # not a bias, a scale or a statistic
            x = x[..., kept[inputs], :]
        return x

    return jax.tree.map_with_path(cut, variables)


def _largest(norms: np.ndarray, count: int) -> np.ndarray:
    """The numbers of the largest, in ascending order; of equal ones the first."""
    return np.sort(np.argsort(-norms, kind="stable")[:count])


def _filter_norms(variables: Any, layers: dict[str, _Widths], width: str) -> np.ndarray:
    """The L2 norm of the filters that make each channel of a width."""
    squares = 0.0
    for name, (_, outputs) in layers.items():
        # "block4/project" is made by that layer of all blocks that share it.
        if outputs == width and _kind(name) == _kind(width):
            kernel = _kernel(variables["params"], name)
            squares = squares + np.square(kernel, dtype=np.float64).sum(
                tuple(range(kernel.ndim - 1))
            )
    return np.sqrt(squares)


def _kind(layer: str) -> str:
    """The layer of the block: "expand" of block4/expand, "se" of block4/se/expand."""
    return layer.split("/")[1]


def _kernel(params: Any, layer: str) -> np.ndarray:
    for name in layer.split("/"):
        params = params[name]
    return np.asarray(params.get("conv", params)["kernel"])


def _widths_of(layers: dict[str, _Widths], path: list[str]) -> _Widths:
    """Those of an array by its path, ["block4", "expand", "conv", "kernel"]."""
    for end in range(len(path), 0, -1):
        if found := layers.get("/".join(path[:end])):
            return found
    return "", ""


def _layers(network: ClassifierSpec) -> dict[str, _Widths]:
    """The widths of every layer that may change, by the path of its module."""
    layers: dict[str, _Widths] = {}
    named = netadapt_widths.names(network)
    blocks = netadapt_widths.blocks_of(network)
    for i, (name, block) in enumerate(zip(named, blocks, strict=True)):
        at = f"block{i}"
        if block.has_expansion:
            layers[f"{at}/expand"] = name.inputs, name.expanded
        layers[f"{at}/depthwise"] = "", name.expanded
        layers[f"{at}/project"] = name.expanded, name.outputs
        if block.se:
            separable = block.op == "depthwise_separable"
            squeezed = name.outputs if separable else name.expanded
            layers[f"{at}/se/reduce"] = squeezed, f"{at}/se/reduce"
            layers[f"{at}/se/expand"] = f"{at}/se/reduce", squeezed
    if network.backbone.head_conv_channels:
        reader = "head_conv"
    else:
        reader = "head_dense" if network.head_dense_channels else OUTPUT_LAYER
    return layers | {reader: (named[-1].outputs, "")}


def _channels(network: ClassifierSpec) -> dict[str, int]:
    """The channels of every width, of those inside squeeze-and-excitation as well."""
    blocks = netadapt_widths.blocks_of(network)
    squeezed = {
        f"block{i}/se/reduce": block.se.channels
        for i, block in enumerate(blocks)
        if block.se
    }
    return netadapt_widths.widths(network) | squeezed
