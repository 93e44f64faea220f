"""The depthwise convolution, in the form that is fast on the platform it runs on."""

import functools
import itertools
import math
from typing import get_args

import jax
import jax.numpy as jnp
from jax import lax

from mobilenets.errors import unknown
from mobilenets.networks.spec import Padding
from mobilenets.nn.lowering import Lowering, choose


def depthwise_conv(
    x: jax.Array,
    kernel: jax.Array,
    stride: int,
    padding: Padding,
    dilation: int = 1,
    lowering: Lowering = "auto",
) -> jax.Array:
    """Convolves every channel with its own filter.

    Args:
      x: [N, H, W, C].
      kernel: [k, k, 1, C], k odd and at least 3; of x's dtype.
      stride: 1 or 2, of both height and width.
      padding: "same" pads as TensorFlow does (at stride 2 and even size one pixel more
        at the bottom and right), "symmetric" as PyTorch (k // 2 on every side).
      dilation: pixels from one tap to the next; above 1 the stride must be 1.
      lowering: see `mobilenets.nn.lowering`.

    Returns:
      [N, ceil(H / stride), ceil(W / stride), C].

    Raises:
      ValueError: shapes, dtypes, stride or dilation are not as above.
      UserError: the padding or the lowering is unknown.

    XLA has no fast grouped convolution for CPUs, so there the sum over the taps is
    written out; GPU and TPU have the native convolution. The gradients are chosen by
    platform, too, and so there is no forward-mode differentiation (`jax.jvp` raises a
    TypeError) unless `lowering` is "native".
    """
    _check(x, kernel, stride, dilation)
    if lowering == "native":
        return _native(x, kernel, stride, padding, dilation)
    return _by_platform(x, kernel, stride, padding, dilation, lowering)


def explicit_padding(
    size: tuple[int, ...],
    kernel_size: int,
    stride: int,
    padding: Padding,
    dilation: int = 1,
) -> list[tuple[int, int]]:
    """Pixels to put (before, after) each dimension of that size.

    Raises:
      UserError: the padding is unknown.

    >>> explicit_padding((224, 7), 3, 2, "same")
    [(0, 1), (1, 1)]
    >>> explicit_padding((224, 7), 3, 2, "symmetric")
    [(1, 1), (1, 1)]
    """
    if padding not in get_args(Padding):
        raise unknown("padding", padding, get_args(Padding))
    reach = dilation * (kernel_size - 1) + 1  # pixels that a filter covers
    if padding == "symmetric":
        return [(reach // 2, reach // 2) for _ in size]
    return lax.padtype_to_pads(
        size, (reach,) * len(size), (stride,) * len(size), "SAME"
    )


def _check(x, kernel, stride, dilation):
    """Meets what one form would take, and another not, or in another way."""
    k = len(kernel)
    if x.ndim != 4 or kernel.shape != (k, k, 1, x.shape[3]) or k < 3 or k % 2 == 0:
        raise ValueError(
            "x must be [N, H, W, C] and the kernel [k, k, 1, C] with an odd k of at "
            f"least 3, but they are {list(x.shape)} and {list(kernel.shape)}."
        )
    if x.dtype != kernel.dtype:
        raise ValueError(f"x is {x.dtype} and the kernel {kernel.dtype}: cast one.")
    if stride not in (1, 2) or min(stride, dilation) != 1:
        raise ValueError(
            f"Stride {stride} with dilation {dilation}: the stride must be 1 or 2, the "
            "dilation 1 or more, and one of them 1."
        )


def _native(x, kernel, stride, padding, dilation):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        explicit_padding(x.shape[1:3], kernel.shape[0], stride, padding, dilation),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _by_platform(x, kernel, stride, padding, dilation, lowering):
    def sum_of_taps(x, kernel):
        pads = explicit_padding(
            x.shape[1:3], kernel.shape[0], stride, padding, dilation
        )
        return _sum_of_taps(pad_pixels(x, pads), _weights(kernel), stride, dilation)

    def native(x, kernel):
        return _native(x, kernel, stride, padding, dilation)

    return choose(lowering, x, kernel, cpu=sum_of_taps, native=native)


def _forward(x, kernel, stride, padding, dilation, lowering):
    y = _by_platform(x, kernel, stride, padding, dilation, lowering)
    return y, (x, kernel)


def _backward(stride, padding, dilation, lowering, residuals, cotangent):
    def gradients(x, kernel, cotangent):
        k, size, out = kernel.shape[0], x.shape[1:3], cotangent.shape[1:3]
        pads = explicit_padding(size, k, stride, padding, dilation)
        padded = pad_pixels(x, pads)
        # Around the cotangent are zeros as far as the flipped kernel's taps reach.
        before = dilation * ((k - 1) // stride)
        around = [
            (before, -(-(n + sum(pad)) // stride) - n_out)
            for n, pad, n_out in zip(size, pads, out, strict=True)
        ]
        grown = pad_pixels(cotangent, around)
        from_padded = _input_gradient(grown, before, _weights(kernel), stride, dilation)
        (top, _), (left, _) = pads
        from_x = from_padded[:, top : top + size[0], left : left + size[1]]
        from_kernel = _kernel_gradient(padded, grown, before, out, k, stride, dilation)
        return from_x, from_kernel

    def native(x, kernel, cotangent):
        _, vjp = jax.vjp(
            lambda x, kernel: _native(x, kernel, stride, padding, dilation), x, kernel
        )
        return vjp(cotangent)

    return choose(lowering, *residuals, cotangent, cpu=gradients, native=native)


_by_platform.defvjp(_forward, _backward)


# In what follows `lax` says in one operation what `jnp` says in up to three: a network
# has hundreds of taps, and JAX traces and XLA compiles each of them.


def pad_pixels(x: jax.Array, pads: list[tuple[int, int]]) -> jax.Array:
    """Puts zeros (before, after) rows and columns of x, [N, H, W, C]."""
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, [(*pair, 0) for pair in [(0, 0), *pads, (0, 0)]])


def seen_by_tap(
    padded: jax.Array, row: int, column: int, size: tuple[int, int], stride: int
) -> jax.Array:
    """[N, *size, C] of the padded images, [N, H, W, C]."""
    images, _, _, channels = padded.shape
    bottom, right = (
        start + (n - 1) * stride + 1
        for start, n in zip((row, column), size, strict=True)
    )
    return lax.slice(
        padded,
        (0, row, column, 0),
        (images, bottom, right, channels),
        (1, stride, stride, 1),
    )


def _weights(kernel):
    """Of each tap of a kernel [k, k, 1, C]: k rows of k arrays [C]."""
    k, channels = len(kernel), kernel.shape[-1]
    flat = kernel.reshape(-1)  # so that a tap's weights need no reshape
    starts = range(0, flat.size, channels)
    weights = [lax.slice_in_dim(flat, start, start + channels) for start in starts]
    return [weights[i : i + k] for i in range(0, k * k, k)]


def _sum_of_taps(padded, weights, stride, dilation):
    """Every tap's shifted, strided image times the tap's weights, added up.

    A row of taps is summed over all rows of the padded image. Were each tap's image cut
    out by itself, XLA would see that the middle one has none of the padding, and read
    the map before it was padded, which it then has to write, too.
    """
    rows, columns = len(weights), len(weights[0])
    height, width = (
        (n - dilation * (taps - 1) - 1) // stride + 1
        for n, taps in zip(padded.shape[1:3], (rows, columns), strict=True)
    )
    seen = [_every(padded, 2, j * dilation, width, stride) for j in range(columns)]
    sums = []
    for i, row in enumerate(weights):
        terms = [
            x * lax.broadcast_in_dim(weight, x.shape, (3,))
            for x, weight in zip(seen, row, strict=True)
        ]
        row_sum = functools.reduce(jnp.add, terms)
        sums.append(_every(row_sum, 1, i * dilation, height, stride))
    return functools.reduce(jnp.add, sums)


def _every(x, axis, start, n, stride):
    """N slices along the axis, from start on, a stride apart."""
    return lax.slice_in_dim(x, start, start + (n - 1) * stride + 1, stride, axis)


def _input_gradient(grown, before, weights, stride, dilation):
    """The cotangent convolved with the flipped kernel: of the padded input.

    At a stride, the rows r = phase (mod stride) of the padded input meet only the taps
    with that phase: each phase of rows and columns is a small convolution of stride 1,
    and the phases are interleaved.

    Args:
      grown: [N, H, W, C], the cotangent with zeros around it.
      before: rows and columns of zeros in front of it.
      weights: see `_weights`.
      stride: of the convolution, as is the dilation.
      dilation: pixels from one tap to the next.
    """
    rows = []
    for row_phase in range(stride):
        phases = []
        for column_phase in range(stride):
            flipped = [
                row[column_phase::stride][::-1]
                for row in weights[row_phase::stride][::-1]
            ]
            top, left = (
                before - dilation * (n - 1) for n in (len(flipped), len(flipped[0]))
            )
            reached = grown[:, top:, left:]
            phases.append(_sum_of_taps(reached, flipped, 1, dilation))
        rows.append(jnp.stack(phases, axis=3))  # [N, h, w, stride, C]
    interleaved = jnp.stack(rows, axis=2)  # [N, h, stride, w, stride, C]
    n, h, _, w, _, c = interleaved.shape
    return interleaved.reshape(n, h * stride, w * stride, c)


def _kernel_gradient(padded, grown, before, size, k, stride, dilation):
    """The sum over images, rows and columns of what each tap sees times the cotangent.

    Image by image, so that they stay in the cache, and several taps in one reduction,
    columns first: a reduction for each tap would read the images k * k times. Of larger
    kernels it is a row of taps, which is as fast as all of them and compiled sooner.
    With several devices, an image of each at a time: none needs another's.

    Args:
      padded: [N, H, W, C], the input.
      grown: [N, H, W, C], the cotangent with zeros around it.
      before: rows and columns of zeros in front of it.
      size: height and width of the cotangent without them.
      k: height and width of the kernel.
      stride: of the convolution, as is the dilation.
      dilation: pixels from one tap to the next.
    """
    images, _, width, channels = padded.shape
    parts = math.gcd(images, jax.device_count())  # one for each device, if it can be
    exact = jnp.promote_types(padded.dtype, jnp.float32)
    rows_at_once = 3 if k == 3 else 1
    groups = k // rows_at_once
    taps = list(itertools.product(range(rows_at_once), range(k)))
    zeros = [jnp.zeros((), exact)] * len(taps)
    height = (size[0] - 1) * stride + 1 + (rows_at_once - 1) * dilation
    cut = functools.partial(lax.dynamic_slice, allow_negative_indices=False)

    def add(a, b):
        return [x + y for x, y in zip(a, b, strict=True)]

    def of_image(x, image, top, left, height, width):
        # Reshaped in here, and not in front of the loop, so that the input is padded by
        # the kernel that pads it in the forward pass.
        at, size = (0, image, top, left, 0), (parts, 1, height, width, channels)
        by_part = x.reshape(parts, -1, *x.shape[1:])
        return cut(by_part, at, size)[:, 0]

    def add_group(step, totals):
        image, group = lax.div(step, groups), lax.rem(step, groups)
        first_row = group * rows_at_once * dilation
        seen = of_image(padded, image, first_row, 0, height, width)
        cotangent = of_image(grown, image, before, before, *size)
        products = [
            seen_by_tap(seen, row * dilation, column * dilation, size, stride)
            * cotangent
            for row, column in taps
        ]
        over_columns = lax.reduce(
            [product.astype(exact) for product in products], zeros, add, (2,)
        )
        sums = jnp.stack(lax.reduce(over_columns, zeros, add, (1,)))[None]
        at = (group, 0, 0, 0)
        sums += cut(totals, at, sums.shape)
        return lax.dynamic_update_slice(totals, sums, at, allow_negative_indices=False)

    start = jnp.zeros((groups, len(taps), parts, channels), exact)
    totals = lax.fori_loop(0, images // parts * groups, add_group, start)
    return totals.sum(2).reshape(k, k, 1, channels).astype(padded.dtype)
