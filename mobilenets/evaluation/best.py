"""By what the best checkpoint of a run is chosen."""

import dataclasses
import math

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
        value = results[self.set_name]["ema"][self.metric]
        if math.isnan(value):
            return None
        return -value if self.less_is_better else value


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
