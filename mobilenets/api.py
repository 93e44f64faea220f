"""Training and evaluation from Python: functions that `mobilenets` itself offers."""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from mobilenets.config import check, files, overrides
from mobilenets.config import values as config_values
from mobilenets.config.schema import Configuration, NoDataset
from mobilenets.data.sources.base import Source
from mobilenets.errors import UserError, unknown
from mobilenets.evaluation.evaluator import Results
from mobilenets.evaluation.run import evaluate_run
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.inference.trained import TrainedNet
from mobilenets.runs import workdir as workdirs
from mobilenets.tasks.base import Task
from mobilenets.tasks.registry import make_task
from mobilenets.training import loop

Sources = Mapping[str, Source]
# A class or function as those of `tasks.registry`: it makes the task from the config,
# the description of the weights (None to train) and the sources (None: the config's).
MakeTask = Callable[[Configuration, Description | None, Sources | None], Task]


def load_config(file: str, overrides: Mapping[str, Any] | None = None) -> Configuration:
    """Loads and checks the configuration of a config file.

    Args:
      file: a path or the name of a shipped config, with its argument after a colon:
        "quickstart:smoke".
      overrides: other values by dotted key: {"optimizer.learning_rate": 0.1}. For a
        network of your own give {"model.spec": spec}.

    Raises:
      UserError: there is no such file, it fails, or a key or value is wrong.
    """
    return files.configuration(file, overrides)


def train(
    config: Configuration,
    workdir: str,
    task: MakeTask | None = None,
    sources: Sources | None = None,
    warm_restart: bool = False,
) -> Results:
    """Trains a network, from the last checkpoint of the workdir if there is one.

    Args:
      config: of the run; see `load_config`.
      workdir: the folder for all output of the run.
      task: a class or function that makes the task; None: the one that `config.task`
        names.
      sources: "train", "val" and any further evaluation sets, in place of the
        configured data sets. The saved config then names none.
      warm_restart: see `training.loop.train`.

    Returns:
      The metrics of the last evaluation by evaluation set, weights ("raw", and "ema",
      their average) and name: `results["val"]["ema"]["top1"]`.

    Raises:
      UserError: see `training.loop.train`; or the network or data are not available.
      SystemExit: on Ctrl-C or SIGTERM, after a checkpoint is saved.
    """
    if sources is not None:
        _check_sources(sources, ("train", "val"))
        config = _without_data(config)
    made = (task or make_task)(config, None, sources)
    return loop.train(made, workdir, warm_restart=warm_restart)


def evaluate(
    workdir: str,
    overrides: Mapping[str, Any] | None = None,
    sources: Sources | None = None,
    task: MakeTask | None = None,
    weights: Literal["ema", "raw"] = "ema",
    checkpoint: Literal["best", "latest"] = "best",
) -> Results:
    """Evaluates a run on its evaluation sets, every example once.

    Args:
      workdir: the folder of the run.
      overrides: other values than those of the run, by dotted key:
        {"dataset.eval_split": "train"}. Those of the network cannot change.
      sources: evaluation sets by name, in place of the run's own.
      task: see `train`.
      weights: the average of the weights, or the last.
      checkpoint: the best, or the latest.

    Returns:
      The metrics, as those of `train`, of these weights alone.

    Raises:
      UserError: see `evaluation.run.evaluate_run`; or the data are not available.
    """
    _check_choice("weights", weights, ("ema", "raw"))
    _check_choice("checkpoint", checkpoint, ("best", "latest"))
    config = _config_of_run(workdir, overrides or {})
    if sources is not None:
        _check_sources(sources, ("val",))
        config = _without_data(config)
    made = (task or make_task)(config, trained.describe(workdir), sources)
    evaluation = evaluate_run(
        made, workdir, ema=weights == "ema", best=checkpoint == "best"
    )
    return evaluation.results


def load(weights: str) -> TrainedNet:
    """Loads a trained network: `net.model.apply(net.variables, images)`.

    Args:
      weights: a folder of weights, or the workdir of a run. From a run, the averaged
        weights of the best checkpoint are loaded.

    Raises:
      UserError: there is no such folder, it holds neither, or it is damaged.
    """
    return trained.load(weights)


def save(net: TrainedNet, folder: str) -> None:
    """Writes a trained network to a new folder, which `load` and all commands read.

    Raises:
      UserError: the folder is not empty or cannot be written.
    """
    trained.save(net, folder)


def _config_of_run(workdir: str, values: Mapping[str, Any]) -> Configuration:
    """The configuration of a run, with other values."""
    built = config_values.of(workdirs.read_config(workdirs.of_run(workdir)))
    overrides.apply(built, values)
    return check.check(built)


def _without_data(config: Configuration) -> Configuration:
    """The configuration of a run whose data are given from Python."""
    dataset = NoDataset(
        num_workers=config.dataset.num_workers,
        max_bad_images=config.dataset.max_bad_images,
    )
    return config.model_copy(update={"dataset": dataset, "evals": {}})


def _check_sources(sources: Sources, needed: tuple[str, ...]) -> None:
    """Raises UserError unless all that is needed is there, and each is a source."""
    for name in needed:
        if name not in sources:
            given = ", ".join(map(repr, sources)) or "nothing"
            raise UserError(
                f"The sources need {' and '.join(map(repr, needed))}, but hold {given}:"
                f" add {name!r}."
            )
    for name, source in sources.items():
        if not name.isidentifier():
            raise UserError(
                f"The source {name!r} has no good name: use letters, digits and _."
            )
        lacking = [a for a in _OF_A_SOURCE if not hasattr(source, a)]
        if lacking:
            raise UserError(
                f"The source {name!r} is a {type(source).__name__} and has no "
                f"{', '.join(lacking)}: `mobilenets.data.sources.base.Source` says what"
                " a source needs, and `mobilenets.ArraySource` makes one of arrays."
            )
        _check_values(name, source)
        if not len(source):
            raise UserError(f"The source {name!r} is empty.")


# What `Source` has.
_OF_A_SOURCE = ("names", "upright", "__len__", "__getitem__")


def _check_values(name: str, source: Source) -> None:
    """Raises UserError unless names and upright are what they are called."""
    names, upright = source.names, source.upright
    is_list = isinstance(names, Sequence) and not isinstance(names, str)
    if not is_list or not all(isinstance(n, str) for n in names):
        raise UserError(
            f"The names of the source {name!r} must be a list of texts, one for each "
            f"class or attribute, but are {reprlib.repr(names)}."
        )
    if not isinstance(upright, bool):
        raise UserError(
            f"The upright of the source {name!r} must be True or False, whether its "
            f"images are to be turned as EXIF says, but is {reprlib.repr(upright)}."
        )


def _check_choice(option: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise unknown(option, str(given), allowed)
