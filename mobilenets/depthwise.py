"""The depthwise convolution, in the form that is fast on the platform it runs on."""

import jax
import jax.numpy as jnp
from jax import lax

from mobilenets.spec import Padding


def depthwise_conv(
    x: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
    """Convolves every channel with its own filter.

    Args:
      x: [N, H, W, C].
      kernel: [k, k, 1, C], k odd.
      stride: 1 or 2, of both height and width.
      padding: "same" pads as TensorFlow does (at stride 2 and even size one pixel more
        at the bottom and right), "symmetric" as PyTorch (k // 2 on every side).

    Returns:
      [N, ceil(H / stride), ceil(W / stride), C].

    XLA has no fast grouped convolution for CPUs, so there the sum over the taps is
    written out; GPU and TPU have the native convolution.
    """
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: _shift_multiply_add(x, kernel, stride, padding),
        default=lambda x, kernel: lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            explicit_padding(x.shape[1:3], kernel.shape[0], stride, padding),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        ),
    )


def explicit_padding(
    size: tuple[int, ...], kernel_size: int, stride: int, padding: Padding
) -> list[tuple[int, int]]:
    """Zeros to put (before, after) each dimension of that size.

    >>> explicit_padding((224, 7), 3, 2, "same")
    [(0, 1), (1, 1)]
    >>> explicit_padding((224, 7), 3, 2, "symmetric")
    [(1, 1), (1, 1)]
    """
    if padding == "symmetric":
        return [(kernel_size // 2, kernel_size // 2) for _ in size]
    return lax.padtype_to_pads(
        size, (kernel_size,) * len(size), (stride,) * len(size), "SAME"
    )


def _shift_multiply_add(x, kernel, stride, padding):
    """The sum over the taps of the shifted, strided image times the tap's weights."""
    k = kernel.shape[0]
    pads = explicit_padding(x.shape[1:3], k, stride, padding)
    height, width = (
        (size + before + after - k) // stride + 1
        for size, (before, after) in zip(x.shape[1:3], pads, strict=True)
    )
    x = jnp.pad(x, [(0, 0), *pads, (0, 0)])
    total = None
    for i in range(k):
        for j in range(k):
            last_row, last_column = i + (height - 1) * stride, j + (width - 1) * stride
            shifted = x[:, i : last_row + 1 : stride, j : last_column + 1 : stride]
            term = shifted * kernel[i, j, 0]
            total = term if total is None else total + term
    return total
