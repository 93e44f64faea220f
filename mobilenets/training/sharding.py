"""One mesh axis, "data": batches are split over it, the state is on every device."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from mobilenets.errors import UserError


def data_mesh(batch_size: int) -> Mesh:
    """A mesh of all devices of all processes.

    Raises:
      UserError: the global batch cannot be split equally over the devices.
    """
    devices = jax.device_count()
    if batch_size % devices:
        lower = batch_size // devices * devices
        near = [str(n) for n in (lower, lower + devices) if n]
        raise UserError(
            f"batch_size {batch_size} cannot be split over {devices} devices: use a "
            f"multiple of {devices}, such as --config.batch_size={' or '.join(near)}."
        )
    # Auto: with Explicit axes, the default of jax.make_mesh, Linen's dropout fails.
    return jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_example(mesh: Mesh) -> NamedSharding:
    """The first dimension split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def to_devices(mesh: Mesh, host_batch: dict[str, np.ndarray]) -> dict[str, Any]:
    """The global batch, from each process's own part of it."""
    sharding = by_example(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, values)
        for name, values in host_batch.items()
    }


def local_part(array: jax.Array) -> np.ndarray:
    """This process's part of an array that is split by example."""
    shards = sorted(array.addressable_shards, key=lambda s: s.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards])
