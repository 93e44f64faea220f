"""What training changes: parameters, statistics, optimizer, averages and the step."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class TrainState:
    """Everything that the update reads and writes, arrays only."""

    step: jax.Array  # int32: updates done
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: Any  # {"params", "batch_stats"}: the moving averages of both

    def variables(self, ema: bool) -> dict[str, Any]:
        """What `model.apply` takes: the averaged weights, or the raw ones."""
        if ema:
            return self.ema
        return {"params": self.params, "batch_stats": self.batch_stats}


def create_state(
    variables: dict[str, Any], optimizer: optax.GradientTransformation
) -> TrainState:
    """The state before the first step, from {"params", "batch_stats"}."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(variables["params"]),
        ema=variables,
    )
