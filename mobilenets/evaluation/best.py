"""By what the best checkpoint of a run is chosen."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mobilenets.errors import unknown
from mobilenets.evaluation.evaluator import Results
from mobilenets.tasks.base import Task


@dataclasses.dataclass(frozen=True)
class BestMetric:
    """One metric of the averaged weights on one evaluation set.

    Args:
      set_name: "val", or one of `config.evals`.
      metric: one of the names of the task's metric.
      less_is_better: the direction.
    """

    set_name: str
    metric: str
    less_is_better: bool

    def score(self, results: Results) -> float | None:
        """The metric with the sign that makes more of it better; None if it is nan."""
        return self._signed(results[self.set_name]["ema"][self.metric])

    def scores(self, records: Sequence[Mapping[str, Any]]) -> list[float | None]:
        """The score of each evaluation that was logged, the first one first."""
        of_set = f"{self.set_name}/ema/"
        return [
            self._signed(record.get(of_set + self.metric, math.nan))
            for record in records
            if any(key.startswith(of_set) for key in record)
        ]

    def _signed(self, value: float) -> float | None:
        if math.isnan(value):
            return None
        return -value if self.less_is_better else value


def evaluations_since_best(scores: Sequence[float | None]) -> int:
    """How many evaluations came after the best one, of equal ones the first.

    >>> evaluations_since_best([0.5, 0.7, 0.6, 0.7])
    2
    """
    known = [-math.inf if score is None else score for score in scores]
    return len(known) - 1 - known.index(max(known)) if known else 0


def best_metric(task: Task) -> BestMetric:
    """What `config.best_metric` names; without it the task's headline on "val".

    Raises:
      UserError: there is no such evaluation set or metric.
    """
    metrics = [name for name in task.metric.names if name != "count"]
    known = [f"{name}/{metric}" for name in task.eval_sizes for metric in metrics]
    chosen = task.config.best_metric or f"val/{task.headline}"
    if chosen not in known:
        raise unknown("best_metric", chosen, known)
    set_name, _, metric = chosen.partition("/")
    return BestMetric(set_name, metric, metric in task.metric.less_is_better)
