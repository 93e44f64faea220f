"""How long inference takes here: one network against others, in turn."""

import dataclasses
import random
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Protocol, TypeVar

import jax

from mobilenets.errors import UserError
from mobilenets.nn.build import Network, build
from mobilenets.nn.initialization import init_variables

WARM_UP_CALLS = 3

Key = TypeVar("Key", bound=Hashable)


class Measured(Protocol):
    """What is measured."""

    @property
    def spec(self) -> Network:
        """Of the network."""
        ...

    def timed(self, batch: int) -> Callable[[], object]:
        """The call for so many images, warm."""
        ...


@dataclasses.dataclass(frozen=True)
class Net:
    """A network in JAX: float32, with random weights, which take as long as others."""

    spec: Network
    num_classes: int = 1000

    def timed(self, batch: int) -> Callable[[], object]:
        """See `Measured`. The weights are constants of the program, as in a file."""
        model = build(self.spec, self.num_classes)
        variables = init_variables(model, jax.random.key(0))
        shape = (batch, self.spec.resolution, self.spec.resolution, 3)
        images = jax.random.normal(jax.random.key(1), shape)

        @jax.jit
        def apply(images: jax.Array) -> jax.Array:
            outputs = model.apply(variables, images)
            return outputs["features"] if isinstance(outputs, dict) else outputs[0]

        def call() -> object:
            return jax.block_until_ready(apply(images))

        warm_up(call)
        return call


@dataclasses.dataclass(frozen=True)
class Latency:
    """Seconds of a call, from images on the device to logits.

    Args:
      rounds: of each round the median of its calls.
    """

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.rounds)


def measure(
    nets: Mapping[Key, Measured],
    batch: int = 1,
    rounds: int = 7,
    seconds: float = 0.2,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[Key, Latency]:
    """Measures networks in rounds, in an order that changes from round to round.

    A machine's speed drifts; in turn, all networks see the same of it.

    Args:
      nets: by any names.
      batch: images of a call.
      rounds: how often each has its turn.
      seconds: a turn lasts until its calls have taken so long.
      tell: is given a line for each stage of the work.

    Raises:
      UserError: a call needs more memory than there is.
    """
    calls = {}
    for name, net in nets.items():
        what = f"{net.spec.name}, {net.spec.resolution} pixels"
        tell(f"compiling {len(calls) + 1} of {len(nets)}: {what}")
        try:
            calls[name] = net.timed(batch)
        except jax.errors.JaxRuntimeError as error:
            if "Out of memory" not in str(error):  # under several status codes
                raise
            raise UserError(
                f"{what} and a batch of {batch} do not fit into the memory: use fewer."
            ) from None
    return in_turn(calls, rounds, seconds, tell)


def in_turn(
    calls: Mapping[Key, Callable[[], object]],
    rounds: int = 7,
    seconds: float = 0.2,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[Key, Latency]:
    """Measures calls in rounds; see `measure`.

    Args:
      calls: by any names; each returns when its work is done.
      rounds: see `measure`.
      seconds: see `measure`.
      tell: see `measure`.
    """
    medians: dict[Key, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    for number in range(1, rounds + 1):
        tell(f"round {number} of {rounds}")
        for name in order.sample(list(calls), len(calls)):
            medians[name].append(statistics.median(durations(calls[name], seconds)))
    return {name: Latency(tuple(values)) for name, values in medians.items()}


def warm_up(call: Callable[[], object]) -> None:
    """The first calls, which take longer than others."""
    for _ in range(WARM_UP_CALLS):
        call()


def durations(call: Callable[[], object], seconds: float) -> list[float]:
    """The seconds of each call, for at least so many seconds in all."""
    result: list[float] = []
    while not result or sum(result) < seconds:
        start = time.perf_counter()
        call()
        result.append(time.perf_counter() - start)
    return result
