"""How fast a training is, and what it waits for."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Literal

# The part of the time from which on waiting for input is worth a line, and the steps
# that must have been timed: the first ones have batches that are ready.
NOTABLE = 0.1
FEWEST_STEPS = 10


class Throughput:
    """Images a second since the last reading, without compilation and evaluation.

    And which part of this time was spent waiting for input: for the next batch to be
    made, and for its transfer to the devices.
    """

    def __init__(self, batch_size: int):
        self.steps_read = 0  # all that were timed
        self._seconds_read = self._seconds_waited = 0.0  # in them
        self._batch_size = batch_size
        self.restart()

    def restart(self) -> None:
        """The clock starts when the next step, which may compile, is done."""
        self._steps = -1
        self._waits = {"batch": 0.0, "transfer": 0.0}

    @contextlib.contextmanager
    def waiting(self, what: Literal["batch", "transfer"]) -> Iterator[None]:
        """Counts the time within as waiting for input."""
        start = time.perf_counter()
        yield
        self._waits[what] += time.perf_counter() - start

    def count_step(self) -> None:
        """To be called after every step."""
        self._steps += 1
        if self._steps == 0:
            self._begin()

    def rate(self) -> dict[str, float]:
        """{"images_per_second", "input_wait"}, or nothing if no step was timed.

        The latter is a fraction of the time.
        """
        if self._steps < 1:
            return {}
        seconds = time.perf_counter() - self._start
        waited = sum(self._waits.values())
        self.steps_read += self._steps
        self._seconds_read += seconds
        self._seconds_waited += waited
        numbers = {
            "images_per_second": self._steps * self._batch_size / seconds,
            "input_wait": waited / seconds,
        }
        self._begin()
        return numbers

    def whole_wait(self) -> float:
        """The fraction of the time of all readings that was spent waiting for input."""
        return self._seconds_waited / self._seconds_read if self._seconds_read else 0.0

    def _begin(self) -> None:
        self._steps, self._start = 0, time.perf_counter()
        self._waits = dict.fromkeys(self._waits, 0.0)


def slow_input(
    wait: float, step_seconds: float, loading_seconds: Mapping[str, float]
) -> str:
    """Says what is to blame for the waiting.

    The stages work ahead of the steps. If making a batch takes about as long as a step,
    the steps wait for the slowest stage. If it takes much less, the batches are ready
    and it is their way to the devices that takes the time.

    Args:
      wait: the part of the time that is spent waiting for input.
      step_seconds: how long a step takes, with the waiting.
      loading_seconds: what each stage of loading adds to the time in which a batch is
        made.
    """
    told = f"Training waits for input {wait:.0%} of the time: "
    made = sum(loading_seconds.values())
    if made < step_seconds / 2:
        return (
            f"{told}transfer is to blame, since a batch is made in {made:.3f} s, and a "
            f"step takes {step_seconds:.3f} s."
        )
    shares = ", ".join(f"{n} {s / made:.0%}" for n, s in loading_seconds.items())
    slowest = max(loading_seconds, key=lambda name: loading_seconds[name])
    return (
        f"{told}{slowest} is to blame ({shares} of the work). More "
        "--config.dataset.num_workers help, as long as there are idle cores."
    )
