"""Tasks by name."""

from collections.abc import Mapping

from mobilenets.config.schema import Configuration
from mobilenets.data.sources.base import Source
from mobilenets.inference.description import Description
from mobilenets.tasks.base import Task
from mobilenets.tasks.classification import Classification
from mobilenets.tasks.detection import Detection
from mobilenets.tasks.geolocalization import Geolocalization
from mobilenets.tasks.multilabel import Multilabel
from mobilenets.tasks.segmentation import Segmentation
from mobilenets.tasks.supernet import Supernet

TASKS = {
    "classification": Classification,
    "multilabel": Multilabel,
    "detection": Detection,
    "segmentation": Segmentation,
    "geolocalization": Geolocalization,
    "supernet": Supernet,
}


def make_task(
    config: Configuration,
    description: Description | None = None,
    sources: Mapping[str, Source] | None = None,
) -> Task:
    """The configured task, its data sets opened.

    Args:
      config: of the run.
      description: of the weights, to evaluate; None to train.
      sources: "train", "val" and the names of `config.evals`, in place of the
        configured data sets.

    Raises:
      UserError: the network, a data set or a split is not to be had.
    """
    return TASKS[config.task.name](config, description, sources)
