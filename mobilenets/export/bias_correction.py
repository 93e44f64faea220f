"""Biases that make up for kernels of 8 bits.

A rounded kernel shifts the mean of its output, and the shifts of many layers add up.
What a channel is off on average is taken from its bias: Nagel et al. 2019,
arXiv:1906.04721, Sec. 4.2, here with the means of photographs, as in its Appendix D.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.export.exported import in_parts
from mobilenets.inference.trained import TrainedNet
from mobilenets.nn.blocks import Conv

_LAYERS = (Conv, nn.Conv, nn.Dense)
_STEPS = 127  # of 8 bits, on each side of 0


def corrected(net: TrainedNet, images: np.ndarray) -> TrainedNet:
    """The network with biases for rounded kernels; the kernels stay as they are.

    Args:
      net: the network, its batch norms folded.
      images: photographs, [N, resolution, resolution, 3] float32, normalised.
    """
    shifts = jax.jit(functools.partial(_shifts, net))
    sums: dict[str, Any] = {}
    for part, count in in_parts(images):
        for layer, found in shifts(part).items():
            sums[layer] = sums.get(layer, 0) + np.asarray(found)[:count].sum(0)

    def fitting(path: Any, leaf: Any) -> Any:
        *module, name = (part.key for part in path)
        if name != "bias":
            return leaf
        if module[-1] == "bn":  # a folded one holds the bias of the convolution
            module[-1] = "conv"
        return np.float32(leaf - sums["/".join(module)] / len(images))

    params = jax.tree.map_with_path(fitting, net.variables["params"])
    return dataclasses.replace(net, variables={**net.variables, "params": params})


def rounded(kernel: jax.Array) -> jax.Array:
    """What 8 bits leave of a kernel, with one scale for each output.

    Args:
      kernel: [..., outputs].
    """
    largest = jnp.abs(kernel).max(tuple(range(kernel.ndim - 1)))
    scale = jnp.maximum(largest, jnp.finfo(kernel.dtype).tiny) / _STEPS
    return jnp.round(kernel / scale) * scale


def _shifts(net: TrainedNet, images: jax.Array) -> dict[str, jax.Array]:
    """By how much the rounding of its kernel moves each layer's outputs.

    Returns:
      By the path of the layer, [N, outputs]: means over the pixels of an image.
    """
    found = {}

    def measure(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if isinstance(module, _LAYERS) and module.path:  # not what is called below
            params = module.variables["params"]
            wrong = {name: jnp.zeros_like(x) for name, x in params.items()}
            wrong["kernel"] = rounded(params["kernel"]) - params["kernel"]
            alone = module.clone(parent=None, name=None)
            moved, *_ = jax.tree.leaves(alone.apply({"params": wrong}, *args))
            pixels = tuple(range(1, moved.ndim - 1))
            found["/".join(module.path)] = moved.mean(pixels)
        return call(*args, **kwargs)

    with nn.intercept_methods(measure):
        net.model.apply(net.variables, images)
    return found
