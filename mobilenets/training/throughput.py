"""How fast a training is."""

import time


class Throughput:
    """Images a second since the last reading, without compilation and evaluation."""

    def __init__(self, batch_size: int):
        self._batch_size = batch_size
        self.restart()

    def restart(self) -> None:
        """The clock starts when the next step, which may compile, is done."""
        self._steps = -1

    def count_step(self) -> None:
        """To be called after every step."""
        self._steps += 1
        if self._steps == 0:
            self._start = time.perf_counter()

    def rate(self) -> dict[str, float]:
        """{"images_per_second"}, or nothing if no step was timed."""
        if self._steps < 1:
            return {}
        seconds = time.perf_counter() - self._start
        rate = self._steps * self._batch_size / seconds
        self._steps, self._start = 0, time.perf_counter()
        return {"images_per_second": rate}
