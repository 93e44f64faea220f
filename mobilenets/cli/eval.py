"""`mobilenets eval`, and `eval.py`."""

import enum
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import ml_collections
import typer

from mobilenets.cli import networks, outputs
from mobilenets.cli.command_line import examples, prepare_jax, usage_errors
from mobilenets.config import check, files, overrides, values
from mobilenets.config.schema import (
    SOURCES,
    Configuration,
    Preprocessing,
    SegmentationTask,
)
from mobilenets.data import imagenet
from mobilenets.errors import UserError, unknown
from mobilenets.networks.spec import BackboneSpec
from mobilenets.runtime.compilation_cache import HELP

if TYPE_CHECKING:
    import numpy as np

    from mobilenets.inference.description import Description
    from mobilenets.tasks.base import Task

EPILOG = f"{HELP}\n\n" + examples(
    "mobilenets eval --workdir runs/quickstart",
    "mobilenets eval --workdir runs/quickstart --weights raw --checkpoint latest "
    "--split train --config.batch_size=100",
    "mobilenets eval --workdir runs/quickstart --report runs/quickstart/report",
    "mobilenets eval --workdir efficientnet_lite0 --config.dataset.folder=photos",
    "mobilenets eval --workdir efficientnet_lite0 --sets all "
    "--config.dataset.data_dir=tfds",
    "python eval.py --config configs/quickstart.py --workdir runs/quickstart",
)
# The values of the config that choose the data set.
_CHOOSE_DATA = tuple(f"dataset.{source}" for source in SOURCES)
OPTIONS = (
    *("--workdir", "--weights", "--checkpoint", "--split", "--sets"),
    *("--per-class", "--report", "--json"),
)


class Weights(enum.StrEnum):
    """The two sets of weights in a checkpoint."""

    EMA = "ema"
    RAW = "raw"


class Checkpoint(enum.StrEnum):
    """The two checkpoints that a run keeps."""

    BEST = "best"
    LATEST = "latest"


def command(
    context: typer.Context,
    workdir: Annotated[
        str,
        typer.Option(
            metavar="NETWORK",
            help=f"{networks.NAME_OR_WEIGHTS} Weights and names need a data set, "
            "--config.dataset.KEY=VALUE.",
        ),
    ],
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:ARGUMENT]",
            help="A config to use instead of the run's own. It must define the same "
            "network. --config.KEY=VALUE overrides values of either.",
        ),
    ] = None,
    weights: Annotated[
        Weights,
        typer.Option(
            help="For a run: the moving average of the weights, or the raw weights."
        ),
    ] = Weights.EMA,
    checkpoint: Annotated[
        Checkpoint, typer.Option(help="For a run: the best or the latest.")
    ] = Checkpoint.BEST,
    split: Annotated[
        str | None,
        typer.Option(
            help="Evaluate only this split of the data set, instead of "
            "dataset.eval_split and the sets in evals."
        ),
    ] = None,
    sets: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="For a network of ImageNet's classes: evaluate it on ImageNet's "
            "validation images and on these sets: "
            f"{', '.join(imagenet.EVALUATION_SETS)}, or all.",
        ),
    ] = "",
    per_class: Annotated[
        bool,
        typer.Option("--per-class", help="Also print the metrics of each class."),
    ] = False,
    report: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="Write the confusion matrix and the most confident mistakes to this "
            "folder; for multi-label tasks a table of the attributes, for "
            "geolocalization a table and a map of the places.",
        ),
    ] = "",
    as_json: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Also write the metrics to this file."
        ),
    ] = None,
) -> None:
    """Evaluate a trained network.

    Every image of each evaluation set is counted once.
    """
    with usage_errors():
        given = overrides.parse(context.args, OPTIONS)
        built = None if config is None else files.read(config)
    outputs.check({"json": as_json})
    prepare_jax()
    from mobilenets.evaluation import tables
    from mobilenets.evaluation.run import evaluate_run, evaluate_weights
    from mobilenets.export import exported
    from mobilenets.inference import trained

    is_file = networks.is_file(workdir)
    folder = workdir if is_file else networks.weights(workdir)
    of_run = _is_run(folder)
    if not of_run and (weights != Weights.EMA or checkpoint != Checkpoint.BEST):
        raise UserError(
            f"{workdir} is not a run and has only one set of weights: leave out "
            "--weights and --checkpoint."
        )
    description = (exported if is_file else trained).describe(folder)
    chosen = config_for(folder, description, given, split, sets, built)
    network = None
    if is_file:
        refuse_several_views(chosen)
        network = _outputs_of(folder)
    task = task_for(chosen, description, split)
    if of_run:
        ema, best = weights == Weights.EMA, checkpoint == Checkpoint.BEST
        found = evaluate_run(task, folder, ema, best, per_class, report)
    elif is_file:
        name = pathlib.Path(folder).name
        found = evaluate_weights(task, name, {}, per_class, report, network)
    else:
        variables = trained.load(folder).variables
        name = pathlib.Path(folder).resolve().name
        found = evaluate_weights(task, name, variables, per_class, report)
    tables.print_evaluation(found)
    if as_json:
        tables.write_json(found, as_json)


def _is_run(folder: str) -> bool:
    """Whether it is the workdir of a run, no weights and no exported file."""
    path = pathlib.Path(folder).expanduser()
    return path.is_dir() and not (path / "network.json").exists()


def config_for(
    folder: str,
    description: "Description",
    given: Mapping[str, Any],
    split: str | None,
    sets: str = "",
    built: ml_collections.ConfigDict | None = None,
) -> Configuration:
    """The config with which a network is evaluated.

    Args:
      folder: of a run or of weights, or an exported file.
      description: of the network in it.
      given: values on the command line, by their keys.
      split: the only one to evaluate, instead of all sets.
      sets: see `_set_imagenet`; "" for those of the config.
      built: a config instead of the run's own, or of the default.

    Raises:
      UserError: a value is wrong, or is not that of the weights.
    """
    if _is_run(folder):
        return _checked(_of_run(folder, built), given, split, sets, description)
    _refuse_network(given)
    whole = _for_weights(folder, description, built)
    return _checked(whole, given, split, sets, description)


def _checked(
    built: ml_collections.ConfigDict,
    given: Mapping[str, Any],
    split: str | None,
    sets: str,
    description: "Description",
) -> Configuration:
    """The config with what was given on the command line.

    Raises:
      UserError: a value is wrong, or is not that of the weights.
    """
    if sets:
        _refuse_other_sets(given, split)
        _refuse_other_classes(description)
        overrides.apply(built, {"dataset.name": "imagenet2012"})
    overrides.apply(built, given)
    if split is not None:
        overrides.apply(built, {"dataset.eval_split": split})
        built.evals = values.Values()
    if sets:
        _set_imagenet(built, sets)
    config = check.check(built)
    _refuse_others(config, description)
    return config


def _refuse_other_sets(given: Mapping[str, Any], split: str | None) -> None:
    """Raises UserError if something else than --sets chooses what is evaluated."""
    others = [
        f"--config.{key}"
        for key in given
        if key.startswith("evals") or key in (*_CHOOSE_DATA, "dataset.eval_split")
    ]
    if split is not None:
        others.append("--split")
    if others:
        raise UserError(
            f"--sets and {others[0]} both choose what is evaluated: leave one out."
        )


def _refuse_other_classes(description: "Description") -> None:
    """Raises UserError unless the network can have ImageNet's classes.

    Before the sets are looked for: a user would prepare them in vain.
    """
    count, wanted = len(description.class_names), len(imagenet.class_names())
    if count < wanted:
        raise UserError(
            f"--sets needs a network of ImageNet's {wanted:,} classes, but this one "
            f"has {count}: leave --sets out, and name the data set."
        )


def _set_imagenet(built: ml_collections.ConfigDict, sets: str) -> None:
    """Makes ImageNet's validation images and the sets the ones that are evaluated.

    Args:
      built: its data set is imagenet2012, and has the folder of them all.
      sets: names separated by commas, or "all".

    Raises:
      UserError: there is no such set.
    """
    known = imagenet.EVALUATION_SETS
    names = [*known] if sets == "all" else [name.strip() for name in sets.split(",")]
    for name in names:
        if name not in known:
            raise unknown("set", name, [*known, "all"])
    built.evals = values.Values()
    dataset: Any = built.dataset
    chosen: dict[str, Any] = {"dataset.eval_split": "validation"}
    for name in names:
        data_set, split = known[name]
        chosen |= {f"evals.{name}.name": data_set, f"evals.{name}.split": split}
        chosen[f"evals.{name}.data_dir"] = dataset.get("data_dir", "")
    overrides.apply(built, chosen)


def task_for(
    config: Configuration, description: "Description", split: str | None
) -> "Task":
    """The task, to evaluate.

    Raises:
      UserError: see `make_task`; it names the option by which the split was given.
    """
    from mobilenets.tasks.registry import make_task

    try:
        return make_task(config, description)
    except UserError as error:
        if split is None:
            raise
        told = str(error).replace("--config.dataset.eval_split", "--split")
        raise UserError(told) from None


def _of_run(
    folder: str, built: ml_collections.ConfigDict | None
) -> ml_collections.ConfigDict:
    """The given config, or that of the run.

    Raises:
      UserError: there is no run.
    """
    from mobilenets.runs.workdir import of_run, read_config

    run = of_run(folder)
    return values.of(read_config(run)) if built is None else built


def _for_weights(
    folder: str,
    description: "Description",
    built: ml_collections.ConfigDict | None,
) -> ml_collections.ConfigDict:
    """The given config, or the default, for these weights."""
    if isinstance(description.network, BackboneSpec):
        raise UserError(
            f"{folder} is a backbone without classes: train it with init_from."
        )
    config = values.defaults() if built is None else built
    config.model = values.Values()
    config.preprocessing = values.Values(description.preprocessing.model_dump())
    of_weights: dict[str, Any] = {"init_from": folder, "task.name": description.task}
    if description.threshold is not None:
        of_weights["task.threshold"] = description.threshold
    overrides.apply(config, of_weights)
    return config


def _refuse_network(given: Mapping[str, Any]) -> None:
    """Raises UserError if a value would change the network of the weights."""
    for key in given:
        if key.partition(".")[0] in ("model", "init_from"):
            raise UserError(
                f"--config.{key} is given, but the weights define the network: "
                "leave it out."
            )


def refuse_several_views(config: Configuration) -> None:
    """Raises UserError if images are to be seen at other sizes, or mirrored."""
    if config.eval_resolution:
        raise UserError(
            "eval_resolution is given, but an exported file takes images of one size: "
            "leave it out."
        )
    task = config.task
    if isinstance(task, SegmentationTask) and (
        task.eval_flip or task.eval_scales != (1.0,)
    ):
        raise UserError(
            "task.eval_scales and task.eval_flip are for weights, but an exported file "
            "sees each image once, in its own size: leave them out."
        )


def _outputs_of(file: str) -> Callable[["np.ndarray"], Any]:
    """What computes the outputs of an exported file.

    Raises:
      UserError: see `exported.load`; they are not those of the network's module.
    """
    from mobilenets.export import exported

    net = exported.load(file)
    if net.gives_detections:
        raise UserError(
            f"{file} gives detections, but an evaluation needs the numbers of each "
            "anchor: give a file that was exported without --detections."
        )
    return net.apply


def _refuse_others(config: Configuration, description: "Description") -> None:
    """Raises UserError if task or preprocessing differ from those of the weights."""
    if config.task.name != description.task:
        raise UserError(
            f"task.name is {config.task.name}, but the weights were trained for "
            f"{description.task}: leave it out."
        )
    if config.preprocessing not in (Preprocessing(), description.preprocessing):
        raise UserError(
            "preprocessing is given, but the weights define it: leave it out."
        )
