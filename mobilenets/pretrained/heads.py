"""What follows the features in a file of weights: a head, another one, or none."""

import dataclasses
from collections.abc import Collection
from typing import Any

import numpy as np

from mobilenets.pretrained.library import Library, Weights


@dataclasses.dataclass(frozen=True)
class Dense:
    """The names of the arrays of a dense layer; some have no bias."""

    kernel: str
    bias: str | None

    @property
    def in_words(self) -> str:
        """The names."""
        return f"{self.kernel} and {self.bias}" if self.bias else self.kernel


def dense_on(weights: Weights, library: Library, features: int) -> Dense | None:
    """The dense layer that is all that is left, if it takes that many features."""
    kernels = [
        k for k in weights.left if len(shape_in_our_layout(weights, k, library)) == 2
    ]
    biases = [k for k in weights.left if np.ndim(weights.left[k]) == 1]
    if len(kernels) != 1 or len(biases) > 1 or len(weights.left) > 2:
        return None
    inputs, outputs = shape_in_our_layout(weights, kernels[0], library)
    sizes = {np.size(weights.left[bias]) for bias in biases}
    if inputs != features or sizes - {outputs} or len(weights.left) != 1 + len(biases):
        return None
    if not all(_is_bias_of(bias, kernels[0], library) for bias in biases):
        return None
    return Dense(kernels[0], biases[0] if biases else None)


def _is_bias_of(key: str, kernel: str, library: Library) -> bool:
    """Whether it is in the module of the kernel, or is called a bias.

    A loss may have weights of its classes, as many as there are biases.
    """
    module, _, variable = key.rpartition(library.separator)
    return "bias" in variable or module == kernel.rpartition(library.separator)[0]


def take(weights: Weights, library: Library, dense: Dense) -> dict[str, Any]:
    """The variables of a dense layer; a bias that is not there is 0."""
    shape = shape_in_our_layout(weights, dense.kernel, library)

    def to_our_layout(kernel: np.ndarray) -> np.ndarray:
        return library.kernel_layout(kernel, False).reshape(shape)

    kernel = weights.take(dense.kernel, shape, to_our_layout)
    if dense.bias is None:
        return {"kernel": kernel, "bias": np.zeros(shape[-1], np.float32)}
    return {"kernel": kernel, "bias": weights.take(dense.bias, shape[-1:])}


def are_of_a_head(weights: Weights, library: Library, modules: Collection[str]) -> bool:
    """Whether what is left can be a head, and not a part of another network.

    Args:
      weights: of which the backbone's are taken.
      library: theirs.
      modules: of the backbone. What stands beside one of them in the same module is a
        part of another backbone.
    """
    own = {module.split(library.separator)[0] for module in modules}
    return all(
        key.split(library.separator)[0] not in own
        and len(shape_in_our_layout(weights, key, library)) <= 2
        for key in weights.left
    )


def shape_in_our_layout(
    weights: Weights, key: str, library: Library
) -> tuple[int, ...]:
    """Of an array that is left; a 1x1 convolution is a dense layer here."""
    array = np.asarray(weights.left[key])
    if array.ndim < 2:
        return array.shape
    shape = library.kernel_layout(array, False).shape
    return shape[2:] if len(shape) == 4 and shape[:2] == (1, 1) else shape
