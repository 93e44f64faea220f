"""Tasks by name."""

from mobilenets.config.schema import Configuration
from mobilenets.tasks.base import Task
from mobilenets.tasks.classification import Classification

TASKS = {"classification": Classification}


def make_task(config: Configuration) -> Task:
    """The configured task, its data set opened.

    Raises:
      UserError: model, data set or split are not to be had.
    """
    return TASKS[config.task.name](config)
