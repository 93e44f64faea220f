"""Which form of an operation runs where: the platform's, or one chosen by name."""

from collections.abc import Callable
from typing import Any, Literal, get_args

from jax import lax

from mobilenets.errors import unknown

# "native": XLA's convolutions, `flax.linen.BatchNorm` and JAX's own derivatives.
# "cpu": the forms that are fast on a CPU, wherever they run.
# "auto": the CPU's on a CPU; on GPU and TPU the native convolutions within our batch
#   norm. The choice is made when a program is lowered, so that it is right for
#   `jax.export`, too.
Lowering = Literal["auto", "native", "cpu"]


def choose(
    lowering: Lowering,
    *operands: Any,
    cpu: Callable[..., Any],
    native: Callable[..., Any],
) -> Any:
    """One of the two functions of the operands, as `lowering` says.

    Raises:
      UserError: there is no such lowering.
    """
    if lowering == "auto":
        return lax.platform_dependent(*operands, cpu=cpu, default=native)
    if lowering not in get_args(Lowering):
        raise unknown("lowering", lowering, get_args(Lowering))
    return (cpu if lowering == "cpu" else native)(*operands)
