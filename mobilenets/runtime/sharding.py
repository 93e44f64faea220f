"""One mesh axis, "data": batches are split over it, the state is on every device."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from mobilenets.errors import UserError
from mobilenets.runtime import peers, processes


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Makes this process one of a run of several, all of which end if one does.

    JAX finds the others on Cloud TPU, SLURM, Open MPI and Kubernetes. Elsewhere the
    variables JAX_COORDINATOR_ADDRESS (which JAX reads itself), JAX_NUM_PROCESSES and
    JAX_PROCESS_ID name them.

    Raises:
      UserError: neither says who they are, or they do not come.
    """
    numbers = [
        os.environ.get(f"JAX_{name}") for name in ("NUM_PROCESSES", "PROCESS_ID")
    ]
    try:
        count, index = (None if n is None else int(n) for n in numbers)
        with processes.waiting("the other processes of the run"):
            jax.distributed.initialize(num_processes=count, process_id=index)
    except ValueError as error:
        raise UserError(
            f"--distributed: {error} Set JAX_COORDINATOR_ADDRESS=HOST:PORT, "
            "JAX_NUM_PROCESSES and JAX_PROCESS_ID, or start this by a cluster that JAX "
            "knows."
        ) from None
    except RuntimeError as error:
        raise UserError(
            "--distributed: the other processes did not join: "
            f"{str(error).splitlines()[0]}."
        ) from None
    with peers.watched():
        yield


def data_mesh(
    batch_size: int,
    accumulation_steps: int = 1,
    option: str = "--config.batch_size",
) -> Mesh:
    """A mesh of all devices of all processes.

    Args:
      batch_size: images in the global batch.
      accumulation_steps: parts of it that pass one after the other.
      option: by which the user chooses the batch size.

    Raises:
      UserError: the global batch, or each part of it where gradients accumulate, cannot
        be split equally over the devices.
    """
    devices = jax.device_count()
    multiple = devices * accumulation_steps
    if batch_size % multiple:
        lower = batch_size // multiple * multiple
        near = [str(n) for n in (lower, lower + multiple) if n]
        parts = f" in {accumulation_steps} steps" if accumulation_steps > 1 else ""
        raise UserError(
            f"batch_size {batch_size} cannot be split over {devices} devices{parts}: "
            f"use a multiple of {multiple}, such as {option}={' or '.join(near)}."
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
