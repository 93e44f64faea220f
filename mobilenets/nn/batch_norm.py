"""Batch norm and activation, applied where the map is read.

In training a network keeps maps for the gradient. Of a map that is convolved,
normalised, activated and read by another convolution, stock JAX keeps three copies.
Here the convolution's output alone is kept (a `Deferred`): its reader normalises and
activates it, and does so again in the backward pass. (Gates of squeeze-and-excitation,
small as they are, are kept.)
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from mobilenets.nn.lowering import Lowering, choose

Function = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Deferred:
    """The map `act(normalised z)`, or a function of it, not yet computed.

    Pass it on, or ask `value` for the map.
    """

    z: jax.Array  # [N, H, W, C]
    mean: jax.Array  # [C], of z, as is the variance: `batch_statistics`
    variance: jax.Array
    scale: jax.Array  # [C]
    bias: jax.Array  # [C]
    epsilon: float  # added to the variance
    act: Function
    lowering: Lowering
    late_zero: jax.Array  # what `read` gave beside the map that z was computed from
    steps: tuple["_Step", ...] = ()  # taken one after the other, …
    weights: tuple[Any, ...] = ()  # … each to the map and to its weights

    def then(self, function: Function, weights: Any = None) -> "Deferred":
        """`function(map, weights)`, deferred as well."""
        return self._then(_Map(function), weights)

    def gated(self, gates: Function, weights: Any) -> "Deferred":
        """The map times `gates(its means over the pixels, weights)`, deferred as well.

        Means and gates are [N, C].
        """
        return self._then(_Gated(gates), weights)

    def _then(self, step, weights):
        return dataclasses.replace(
            self,
            steps=(*self.steps, step),
            weights=(*self.weights, weights),
        )


jax.tree_util.register_dataclass(
    Deferred,
    data_fields=["z", "mean", "variance", "scale", "bias", "late_zero", "weights"],
    meta_fields=["epsilon", "act", "lowering", "steps"],
)


def value(x: jax.Array | Deferred) -> jax.Array:
    """The map itself.

    Its gradient is that of stock batch norm, the part through mean and variance
    included. Every call computes the map anew, so that one that is read often should be
    passed on as an array.
    """
    if not isinstance(x, Deferred):
        return x
    y, late_zero = read(x)
    if not x.steps:  # no map is computed again
        return y
    return _last(x.lowering, y, late_zero)


def read(x: jax.Array | Deferred) -> tuple[jax.Array, jax.Array]:
    """The map, and a 0 for the `Deferred` of what is computed from it.

    When that is read, the gradient of this 0 is a 0 as well, but one that XLA cannot
    know before the backward pass comes to the map. Otherwise XLA, seeing that the
    backward pass computes what the forward pass computed before, keeps all of it in
    between. (`jax.checkpoint` says the same by an optimization barrier, which XLA
    removes early on a CPU.)
    """
    if not isinstance(x, Deferred):
        return x, jnp.float32(0)
    rule = _Rule(x.epsilon, x.act, x.steps, x.lowering)
    return _read(rule, x.z, x.scale, x.bias, x.weights, x.mean, x.variance, x.late_zero)


def identity(x: jax.Array) -> jax.Array:
    """The activation where there is none."""
    return x


def batch_statistics(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of every channel of z, [..., C], in float32 (or float64).

    As `flax.linen.BatchNorm`: the variance is the mean square less the squared mean,
    which reads z once, and no less than 0.

    Both have the rounding error of float32, 6e-8 of the mean square. So the variance is
    off by several per cent where the deviation is a thousandth of the mean. At a mean
    of 1000 and a deviation of 0.1 it is anything from 0 to 0.2 instead of 0.01. Behind
    a convolution of normalised images or maps no channel is like that.
    """
    z = _exact(z)
    mean, mean_square = (_sum(x) / _pixels(z) for x in (z, z * z))
    return mean, jnp.maximum(0.0, mean_square - mean * mean)


def normalize(
    z: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
) -> jax.Array:
    """(z - mean) / sqrt(variance + epsilon) * scale + bias, in z's dtype."""
    r = lax.rsqrt(variance + epsilon)
    # Not by the product of scale and r: forward and backward pass would share that, and
    # XLA compute it in a loop of its own. In this order what comes late in the backward
    # pass (r) is last, so that XLA compiles one kernel for both passes.
    mean, r, scale, bias = (_everywhere(x, z) for x in (mean, r, scale, bias))
    return (bias + (z - mean) * scale * r).astype(z.dtype)


def _everywhere(x: jax.Array, z: jax.Array) -> jax.Array:
    """[C] -> z's shape, [..., C], in one operation, where `jnp` needs three."""
    return lax.broadcast_in_dim(x, z.shape, (z.ndim - 1,))


@dataclasses.dataclass(frozen=True)
class _Map:
    """`function(map, weights)`, of which nothing is kept for the gradient."""

    function: Function

    def forward(self, x, weights):
        return self.again(x, weights, None), None

    def again(self, x, weights, kept):
        return self.function(x, weights)

    def backward(self, x, weights, kept, cotangent):
        return jax.vjp(self.function, x, weights)[1](cotangent)


@dataclasses.dataclass(frozen=True)
class _Gated:
    """The map times gates, [N, C], that come from its means over the pixels.

    What leads from means to gates is small, and kept for the gradient.
    """

    gates_of: Function

    def forward(self, x, weights):
        kept = jax.vjp(self.gates_of, x.mean((1, 2)), weights)
        return self.again(x, weights, kept), kept

    def again(self, x, weights, kept):
        gates, _ = kept
        return (x * gates[:, None, None]).astype(x.dtype)

    def backward(self, x, weights, kept, cotangent):
        gates, pull_back = kept
        from_gates = (x * cotangent).sum((1, 2)).astype(gates.dtype)
        from_means, from_weights = pull_back(from_gates)
        from_means /= x.shape[1] * x.shape[2]
        from_x = cotangent * gates[:, None, None] + from_means[:, None, None]
        return from_x.astype(x.dtype), from_weights


_Step = _Map | _Gated


@dataclasses.dataclass(frozen=True)
class _Rule:
    epsilon: float
    act: Function
    steps: tuple[_Step, ...]
    lowering: Lowering

    def forward(self, x, weights):
        """What the steps make of the activated map, and what each of them keeps."""
        kept = []
        for step, its_weights in zip(self.steps, weights, strict=True):
            x, its_kept = step.forward(x, its_weights)
            kept.append(its_kept)
        return x, kept

    def backward(self, x, weights, kept, cotangent):
        """The gradients of the activated map and of the steps' weights."""
        steps = list(zip(self.steps, weights, kept, strict=True))
        inputs = [x]
        for step, its_weights, its_kept in steps[:-1]:
            inputs.append(step.again(inputs[-1], its_weights, its_kept))
        from_weights = []
        for x, taken in reversed(list(zip(inputs, steps, strict=False))):
            step, its_weights, its_kept = taken
            cotangent, gradient = step.backward(x, its_weights, its_kept, cotangent)
            from_weights.append(gradient)
        return cotangent, tuple(reversed(from_weights))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _read(rule, z, scale, bias, weights, mean, variance, late_zero):
    operands = z, scale, bias, weights, mean, variance, late_zero
    return _forward(rule, *operands)[0]


def _forward(rule, z, scale, bias, weights, mean, variance, late_zero):
    normalized = normalize(z, mean, variance, scale, bias, rule.epsilon)
    y, kept = rule.forward(rule.act(normalized), weights)
    residuals = z, scale, bias, weights, mean, variance, kept
    return (y, jnp.zeros_like(late_zero)), residuals


def _backward(rule, residuals, cotangents):
    z, scale, bias, weights, mean, variance, kept = residuals
    cotangent, later_zero = cotangents
    late_variance = variance + later_zero.astype(variance.dtype)
    activated = rule.act(normalize(z, mean, late_variance, scale, bias, rule.epsilon))
    from_activated, from_weights = rule.backward(activated, weights, kept, cotangent)

    exact, n = _exact(z), _pixels(z)
    over = functools.partial(_everywhere, z=z)
    r = lax.rsqrt(variance + rule.epsilon)
    standardized = (exact - over(mean)) * over(r)
    # With its factors in another order than in `normalize` this is for XLA neither the
    # map that is computed again nor that of the forward pass. It would write to memory
    # what they share, as the sigmoid of a swish.
    normalized = (standardized * over(scale) + over(bias)).astype(z.dtype)
    (from_normalized,) = jax.vjp(rule.act, normalized)[1](from_activated)

    # With n pixels, z^ = (z - mean) * r, r = 1 / sqrt(variance + epsilon):
    # dz = scale * r * (d - sum(d) / n - z^ * sum(d * z^) / n).
    d = _exact(from_normalized)
    from_bias = _sum(d)
    # Not of d * standardized: XLA would write that to memory first.
    from_scale = (_sum(d * exact) - mean * from_bias) * r
    # In one expression, r and scale last: XLA then writes one map, and no [C] products.
    from_z = (
        (d - (standardized * over(from_scale / n) + over(from_bias / n)))
        * over(r)
        * over(scale)
    ).astype(z.dtype)
    # From the sum, not from a channel: r's kernels are then of fewer shapes.
    from_late_zero = _late_zero(rule.lowering, from_bias.sum())
    # What flows through mean and variance is in z's gradient.
    return from_z, from_scale, from_bias, from_weights, None, None, from_late_zero


_read.defvjp(_forward, _backward)


def _exact(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _pixels(z: jax.Array) -> float:
    """Of all images; no int, as an int32 would end at 2**31."""
    return float(z.size // z.shape[-1])


def _sum(x: jax.Array) -> jax.Array:
    """Over all but the channels, in two stages: on a CPU faster than in one."""
    return x.sum(range(x.ndim - 2)).sum(0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _last(lowering, y, late_zero):
    """y, whose late zero is from its cotangent: no `Deferred` may follow."""
    return y


def _last_forward(lowering, y, late_zero):
    return y, None


def _last_backward(lowering, _, cotangent):
    pixel = cotangent[(0,) * (cotangent.ndim - 1)]
    # A maximum of all channels, since XLA computes that once and for all, but would
    # compute one number, and all it comes from, wherever it is used.
    return cotangent, _late_zero(lowering, pixel.max())


_last.defvjp(_last_forward, _last_backward)


def _late_zero(lowering: Lowering, number: jax.Array) -> jax.Array:
    """0, as no number is above infinity, which XLA does not know."""
    return choose(
        lowering,
        number,
        cpu=lambda number: (number > jnp.inf).astype(jnp.float32),
        native=lambda _: jnp.float32(0),
    )
