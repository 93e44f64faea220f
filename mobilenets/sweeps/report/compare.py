"""What `mobilenets compare` does: reads runs, measures their networks, writes."""

import contextlib
import dataclasses
import pathlib
import shlex
from collections.abc import Callable, Sequence

from mobilenets.errors import UserError
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.networks import complexity
from mobilenets.profiling.latency import Net
from mobilenets.runs import workdir
from mobilenets.runs.checkpoint import Checkpoints
from mobilenets.runs.metric_log import read_metrics
from mobilenets.sweeps.report import latencies, page
from mobilenets.sweeps.report.entries import FOLDER
from mobilenets.sweeps.results import Result, accuracies, headline_key


@dataclasses.dataclass(frozen=True)
class _Run:
    """What is read of a run.

    Args:
      path: as the user gave it.
      files: of the run.
      description: of its weights.
      headline: the metric that says most.
      is_finished: nothing is left to train.
      total_steps: of the training.
    """

    path: str
    files: workdir.Workdir
    description: Description
    headline: str
    is_finished: bool
    total_steps: int

    @property
    def net(self) -> Net:
        """Its network."""
        return Net(self.description.network, len(self.description.class_names))


def make(
    paths: Sequence[str], output: str, tell: Callable[[str], None]
) -> pathlib.Path:
    """Writes the page of some runs, as that of a sweep; its path.

    Args:
      paths: the workdirs of the runs; each counts once.
      output: a folder for the page and its pictures.
      tell: is given a line for each stage of the work.

    Raises:
      UserError: there are fewer than two runs, one cannot be read, they have different
        tasks, or the folder is one of a run or cannot be written.
    """
    runs = _read_all(paths)
    folder = _make_folder(output)
    names = _names([run.path for run in runs])
    found = [_result(i, run, names[i]) for i, run in enumerate(runs)]
    nets = {r.number: runs[r.number].net for r in found if r.accuracy is not None}
    seconds = latencies.of(nets, folder / "latency.json", tell)
    page.write(_heading(runs, found), found, seconds, folder)
    return folder / "report.html"


def _read_all(paths: Sequence[str]) -> list[_Run]:
    """The runs, each once.

    Raises:
      UserError: see `make`.
    """
    different: dict[pathlib.Path, str] = {}
    for path in paths:
        different.setdefault(pathlib.Path(path).expanduser().resolve(), path)
    if len(different) < 2:
        raise UserError("One run alone cannot be compared: give two or more workdirs.")
    runs = [_read(path) for path in different.values()]
    first = runs[0]
    for run in runs[1:]:
        if run.description.task != first.description.task:
            raise UserError(
                f"{first.path} and {run.path} cannot be compared: the one is a "
                f"{first.description.task} with {first.headline}, the other a "
                f"{run.description.task} with {run.headline}."
            )
    return runs


def _read(path: str) -> _Run:
    """What is known of a run, without opening its data set."""
    files = workdir.of_run(path)
    config = workdir.read_config(files)
    description = trained.describe(path)
    with contextlib.closing(Checkpoints(files, read_only=True)) as checkpoints:
        step = checkpoints.latest_step
        assert step is not None, "the description is that of a checkpoint"
        total_steps = config.total_steps(checkpoints.data_facts(step)["train_size"])
        is_finished = checkpoints.is_finished(step) or step >= total_steps
        headline = checkpoints.headline(step)
    return _Run(path, files, description, headline, is_finished, total_steps)


def _make_folder(output: str) -> pathlib.Path:
    folder = pathlib.Path(output).expanduser()
    for name, owner in (("config.json", "run"), ("sweep.json", "sweep")):
        if (folder / name).exists():
            raise UserError(
                f"--output {output} is the folder of a {owner}: use another."
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"Cannot write to --output {output}: {error.strerror}."
        ) from None
    return folder


def _names(paths: Sequence[str]) -> list[str]:
    """The names of the folders; the whole paths of those that are alike."""
    names = [pathlib.Path(path).expanduser().absolute().name for path in paths]
    return [
        path if names.count(name) > 1 else name
        for path, name in zip(paths, names, strict=True)
    ]


def _result(number: int, run: _Run, name: str) -> Result:
    records = read_metrics(run.files.metrics)
    spec, classes = run.net.spec, run.net.num_classes
    return Result(
        number=number,
        values={FOLDER: name},
        state="finished" if run.is_finished else "unfinished",
        error="",
        network=spec.name,
        resolution=spec.resolution,
        parameters=complexity.params(spec, classes),
        madds=complexity.madds(spec, classes),
        accuracy=(accuracies(records, run.headline) or [None])[-1],
        headline=headline_key(run.headline),
        records=records,
        total_steps=run.total_steps,
        workdir=run.files.path,
        command=shlex.join(["mobilenets", "eval", "--workdir", run.path]),
    )


def _heading(runs: Sequence[_Run], found: Sequence[Result]) -> page.Heading:
    finished = sum(result.state == "finished" for result in found)
    facts = (
        ("task", runs[0].description.task),
        (
            "runs",
            f"{len(runs)}: {finished} finished, {len(runs) - finished} unfinished",
        ),
    )
    return page.Heading(f"Comparison of {len(runs)} runs", "run", facts)
