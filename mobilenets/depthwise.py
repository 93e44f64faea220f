"""The depthwise convolution, in the form that is fast on the platform it runs on."""

import functools

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
      kernel: [k, k, 1, C], k odd and at least 3.
      stride: 1 or 2, of both height and width.
      padding: "same" pads as TensorFlow does (at stride 2 and even size one pixel more
        at the bottom and right), "symmetric" as PyTorch (k // 2 on every side).

    Returns:
      [N, ceil(H / stride), ceil(W / stride), C].

    XLA has no fast grouped convolution for CPUs, so there the sum over the taps is
    written out; GPU and TPU have the native convolution. Its gradient is written out
    too, so there is no forward-mode differentiation (`jax.jvp`).
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shift_multiply_add(x, kernel, stride, padding):
    """`depthwise_conv` as a sum over the taps, forwards and backwards."""
    pads = explicit_padding(x.shape[1:3], kernel.shape[0], stride, padding)
    return _sum_of_taps(jnp.pad(x, [(0, 0), *pads, (0, 0)]), kernel, stride)


def _forward(x, kernel, stride, padding):
    return _shift_multiply_add(x, kernel, stride, padding), (x, kernel)


def _backward(stride, padding, residuals, cotangent):
    x, kernel = residuals
    pads = explicit_padding(x.shape[1:3], kernel.shape[0], stride, padding)
    return (
        _input_gradient(cotangent, kernel, stride, x.shape[1:3], pads),
        _kernel_gradient(
            jnp.pad(x, [(0, 0), *pads, (0, 0)]), cotangent, kernel.shape[0], stride
        ),
    )


_shift_multiply_add.defvjp(_forward, _backward)


def _sum_of_taps(padded, kernel, stride):
    """Every tap's shifted, strided image times the tap's weights, added up."""
    height, width = kernel.shape[:2]
    size = [
        (n - k) // stride + 1
        for n, k in zip(padded.shape[1:3], kernel.shape[:2], strict=True)
    ]
    terms = (
        _tap(padded, i, j, size, stride) * kernel[i, j, 0]
        for i in range(height)
        for j in range(width)
    )
    return functools.reduce(jnp.add, terms)


def _tap(padded, i, j, size, stride):
    """What the tap (i, j) sees: [..., *size, C] of the padded image [..., H, W, C]."""
    rows = slice(i, i + (size[0] - 1) * stride + 1, stride)
    columns = slice(j, j + (size[1] - 1) * stride + 1, stride)
    return padded[..., rows, columns, :]


def _input_gradient(cotangent, kernel, stride, size, pads):
    """The cotangent convolved with the flipped kernel.

    At a stride, the rows r = phase (mod stride) of the padded input meet only the taps
    with that phase: each phase of rows and columns is a small convolution of stride 1,
    and the phases are interleaved.
    """
    rows = []
    for row_phase in range(stride):
        phases = []
        for column_phase in range(stride):
            taps = kernel[row_phase::stride, column_phase::stride]
            phases.append(_transposed_sum_of_taps(cotangent, taps, stride, size, pads))
        rows.append(jnp.stack(phases, axis=3))  # [N, h, w, stride, C]
    interleaved = jnp.stack(rows, axis=2)  # [N, h, stride, w, stride, C]
    n, h, _, w, _, c = interleaved.shape
    interleaved = interleaved.reshape(n, h * stride, w * stride, c)
    (top, _), (left, _) = pads
    return interleaved[:, top : top + size[0], left : left + size[1]]


def _transposed_sum_of_taps(cotangent, taps, stride, size, pads):
    """One phase of the padded input's gradient, ceil(padded size / stride) a side."""
    reach = [n - 1 for n in taps.shape[:2]]
    after = [
        -(-(n + sum(pad)) // stride) - out
        for n, pad, out in zip(size, pads, cotangent.shape[1:3], strict=True)
    ]
    grown = [(0, 0), *zip(reach, after, strict=True), (0, 0)]
    return _sum_of_taps(jnp.pad(cotangent, grown), taps[::-1, ::-1], stride=1)


def _kernel_gradient(padded, cotangent, k, stride):
    """The sum over images, rows and columns of what each tap sees times the cotangent.

    All taps are added up in one reduction, rows first: a reduction for each tap would
    read the images k * k times.
    """
    size = cotangent.shape[1:3]
    products = [
        (_tap(padded, i, j, size, stride) * cotangent).astype(jnp.float32)
        for i in range(k)
        for j in range(k)
    ]
    zeros = [jnp.zeros((), jnp.float32)] * len(products)

    def add(a, b):
        return [x + y for x, y in zip(a, b, strict=True)]

    over_rows = lax.reduce(products, zeros, add, (1,))
    totals = lax.reduce(over_rows, zeros, add, (0, 1))
    return jnp.stack(totals).reshape(k, k, 1, -1).astype(padded.dtype)
