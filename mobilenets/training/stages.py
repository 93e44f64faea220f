"""A run in several stages, each trained by a task of its own."""

import bisect
from collections.abc import Mapping, Sequence
from typing import Self

from mobilenets.tasks.base import Batches, HostBatch, Task

Stages = Sequence[tuple[int, Task]]  # see `Task.stages`


def stage_at(stages: Stages, step: int) -> int:
    """The number of the stage in which the update after `step` updates is made.

    A stage without steps, of a very short run, is never the one.
    """
    return bisect.bisect_right([first for first, _ in stages], step) - 1


class StagedBatches:
    """The batches of a run, those of each stage from its task.

    Args:
      stages: of the run.
      first_step: the steps whose batches are left out at the start.
    """

    def __init__(self, stages: Stages, first_step: int):
        self._stages, self._step = stages, first_step
        self._stage = stage_at(stages, first_step)
        self._batches = self._opened()

    @property
    def bad_images(self) -> int:
        """See `Batches`; the tasks of a run count together."""
        return self._batches.bad_images

    @property
    def loading_seconds(self) -> Mapping[str, float]:
        """See `Batches`; of the batches since the stage began."""
        return self._batches.loading_seconds

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> HostBatch:
        stage = stage_at(self._stages, self._step)
        if stage != self._stage:
            self.close()
            self._stage = stage
            self._batches = self._opened()
        batch = next(self._batches)
        self._step += 1
        return batch

    def close(self) -> None:
        """Ends what makes the batches."""
        self._batches.close()

    def _opened(self) -> Batches:
        _, task = self._stages[self._stage]
        return task.train_batches(self._step)
