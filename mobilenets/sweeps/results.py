"""The folder of a sweep, and what its runs have found so far.

    FOLDER/sweep.json               the sweep, and its name in the storage
    FOLDER/trials.db                Optuna's storage, unless another is given
    FOLDER/points/007/              the workdir of a run, as train.py leaves one
    FOLDER/points/007/plan.json     its network and its number of steps: see `Plan`
    FOLDER/points/007/point.json    the values of the point, from when it is begun
    FOLDER/points/007/outcome.json  how it ended: see `Outcome`
    FOLDER/by_itself/007/           where the report's command trains the point again
    FOLDER/workers/                 what each worker has printed
    FOLDER/report/                  what `mobilenets report` writes

Everything but the queue of trials is read from these files, by whoever wants to know.
The config file that sweep.json names is code. Only who names the sweep runs it: `claim`
and the workers. A report reads, and runs nothing.
"""

import contextlib
import dataclasses
import functools
import json
import pathlib
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import filelock
import pydantic
import sqlalchemy
from annotated_types import Ge

from mobilenets.config import json_files
from mobilenets.config.differences import differences
from mobilenets.config.schema import Configuration, Section
from mobilenets.errors import UserError
from mobilenets.inference.description import Network as AnyNetwork
from mobilenets.inference.description import check_network, from_values
from mobilenets.networks import complexity
from mobilenets.nn.build import Network
from mobilenets.runs import workdir
from mobilenets.runs.metric_log import read_metrics
from mobilenets.sweeps import definition
from mobilenets.sweeps.definition import Sweep, Values
from mobilenets.tasks.base import Task
from mobilenets.tasks.registry import make_task

State = Literal["finished", "pruned", "failed", "unfinished", "waiting"]


class Outcome(Section):
    """How the run of a point ended.

    Args:
      state: pruned runs were ended before their last step.
      error: why it failed.
      latency: seconds, where the sweep looks for it; see `latency.measure`.
    """

    state: Literal["finished", "pruned", "failed"]
    error: str = ""
    latency: float | None = None


class PointExists(Exception):
    """A search has chosen the values of another point."""


class _Claim(Section):
    """What `sweep.json` holds."""

    name: str
    sweep: Sweep
    config: Configuration  # of the first point, to see that the config file is the same


class _Values(pydantic.RootModel[dict[str, Any]]):
    """What `point.json` holds."""


class _StoredPlan(Section):
    """What `plan.json` holds: see `Plan`."""

    spec: AnyNetwork
    num_classes: Annotated[int, Ge(0)]
    total_steps: Annotated[int, Ge(0)]
    headline: str

    @pydantic.model_validator(mode="after")
    def _check(self) -> "_StoredPlan":
        try:
            check_network(self.spec, self.num_classes)
        except UserError as error:
            raise ValueError(str(error)) from None
        return self


# What to do with a damaged file of a point: nothing in it is lost for good.
_AGAIN = (
    "Delete the file and run the same `mobilenets sweep` again: the run is resumed "
    "from its last checkpoint."
)

Stored = TypeVar("Stored", bound=pydantic.BaseModel)


def _load(file: pathlib.Path, kind: type[Stored], advice: str) -> Stored:
    """The checked content of a JSON file.

    Raises:
      UserError: it cannot be read, or is damaged; the message ends with the advice.
    """
    try:
        # Not of the value: only JSON has lists where there are tuples here.
        return kind.model_validate_json(json.dumps(json_files.load(file)))
    except UserError as error:
        raise UserError(f"{error} {advice}") from None
    except (ValueError, ArithmeticError) as error:
        reason = str(error)
        if isinstance(error, pydantic.ValidationError):
            first = error.errors()[0]
            reason = ": ".join([".".join(map(str, first["loc"])), first["msg"]])
        raise UserError(f"{file} is damaged ({reason}). {advice}") from None


@dataclasses.dataclass(frozen=True)
class SweepFolder:
    """The paths of a sweep's files, and its facts.

    Args:
      path: absolute.
      name: of the study in the storage, unlike that of any other sweep.
      sweep: what is run.
      config: of the run at its first point.
    """

    path: pathlib.Path
    name: str
    sweep: Sweep
    config: Configuration

    @functools.cached_property
    def fixed_points(self) -> list[Values]:
        """See `Sweep.points`."""
        return self.sweep.points

    @property
    def storage_url(self) -> str:
        """Of the file that is Optuna's storage by default."""
        url = sqlalchemy.URL.create("sqlite", database=str(self.path / "trials.db"))
        return url.render_as_string()

    @property
    def workers(self) -> pathlib.Path:
        """What each worker prints, a file each."""
        return self.path / "workers"

    @property
    def report(self) -> pathlib.Path:
        """The page, its pictures and its table."""
        return self.path / "report"

    def lock(self) -> filelock.FileLock:
        """Held while what several processes may write is written."""
        return filelock.FileLock(self.path / ".lock")

    def point(self, number: int) -> pathlib.Path:
        """The workdir of a run."""
        return self.path / "points" / f"{number:03}"

    def by_itself(self, number: int) -> pathlib.Path:
        """Where the command in the report trains a point, apart from the sweep."""
        return self.path / "by_itself" / f"{number:03}"

    def point_lock(self, number: int) -> filelock.FileLock:
        """Held while a run is trained: it is nobody else's then."""
        return filelock.FileLock(self.point(number) / ".lock")

    def begin(self, number: int, values: Values) -> None:
        """Writes down the values of a point, if it was not begun before.

        Raises:
          PointExists: another point has them.
        """
        file = self.point(number) / "point.json"
        with self.lock():
            if file.exists():
                return
            if dict(values) in self.others(number):
                raise PointExists
            file.parent.mkdir(parents=True, exist_ok=True)
            workdir.replace_file(file, json.dumps(dict(values)) + "\n")

    def plan(self, number: int) -> "Plan | None":
        """What is run at a point; None if that is not known yet.

        Raises:
          UserError: the file of the plan is damaged.
        """
        file = self.point(number) / "plan.json"
        if not file.exists():
            return None
        stored = _load(file, _StoredPlan, _AGAIN)
        return Plan(**{f: getattr(stored, f) for f in _StoredPlan.model_fields})

    def save_plan(self, number: int, plan: "Plan") -> None:
        """Writes down what is run at a point."""
        values = {f: getattr(plan, f) for f in _StoredPlan.model_fields}
        file = self.point(number) / "plan.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        with self.lock():  # others may plan the same point
            workdir.replace_file(file, _StoredPlan(**values).model_dump_json() + "\n")

    def values(self, number: int) -> Values | None:
        """Of a point; None if a Bayesian search has not chosen them yet.

        Raises:
          UserError: the file that a search has left is damaged.
        """
        if number < len(self.fixed_points):
            return self.fixed_points[number]
        folder = self.point(number)
        file = folder / "point.json"
        if not file.exists():
            return None
        advice = f"Delete {folder}, and run the same `mobilenets sweep` again."
        values = _load(file, _Values, advice).root
        if values.keys() != self.sweep.parameters.keys():
            raise UserError(f"{file} has not the keys that the sweep varies. {advice}")
        return values

    def others(self, number: int) -> list[Values]:
        """The values of all points but one, as far as they are chosen."""
        values = [self.values(i) for i in range(self.sweep.size) if i != number]
        return [v for v in values if v is not None]

    def end(self, number: int, outcome: Outcome) -> None:
        """Writes down how a run ended."""
        file = self.point(number) / "outcome.json"
        workdir.replace_file(file, outcome.model_dump_json() + "\n")

    def outcome(self, number: int) -> Outcome | None:
        """How the run ended; None if it has not.

        Raises:
          UserError: the file that says it is damaged.
        """
        file = self.point(number) / "outcome.json"
        return _load(file, Outcome, _AGAIN) if file.exists() else None

    def evaluations(self, number: int, headline: str) -> list[float]:
        """What the averaged weights have reached, from the first evaluation on."""
        records = read_metrics(workdir.Workdir(self.point(number)).metrics)
        return accuracies(records, headline)

    def check_config(self) -> None:
        """Finds the config file of the runs as it was when the sweep began.

        Raises:
          UserError: it has changed, or cannot be used any more.
        """
        now = definition.run_config(self.sweep, self.fixed_points[0])
        changed = differences(self.config, now)
        if changed:
            raise UserError(
                f"{self.sweep.config} has changed since the sweep in {self.path} "
                f"began, in {', '.join(map(str, changed))}: change it back, or use "
                "another --workdir."
            )


@dataclasses.dataclass(frozen=True)
class Result:
    """A point and its run.

    Args:
      number: of the point, from 0.
      values: of the point, by dotted key, flat; with "seed" where that is varied.
      state: "unfinished" if it runs or was interrupted, "waiting" if not begun.
      error: why it failed.
      network: the name of the architecture.
      resolution: height and width of the images in pixels.
      parameters: of the network with the classes of the data set.
      madds: multiply-adds for one image.
      accuracy: of the averaged weights after the last evaluation, from 0 to 1; None
        before the first one.
      headline: what the accuracy is called in `records`; see `headline_key`.
      records: what the training has logged, see `metric_log.read_metrics`.
      total_steps: of the training.
      workdir: of the run.
      command: what is typed to train it by itself.
    """

    number: int
    values: Mapping[str, Any]
    state: State
    error: str
    network: str
    resolution: int
    parameters: int
    madds: int
    accuracy: float | None
    headline: str
    records: list[dict[str, Any]]
    total_steps: int
    workdir: pathlib.Path
    command: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is known of a point's run before it is trained.

    Args:
      spec: its network.
      num_classes: of its data set.
      total_steps: of the training.
      headline: the metric that is called accuracy here.
    """

    spec: Network
    num_classes: int
    total_steps: int
    headline: str

    @property
    def parameters(self) -> int:
        """Of the network with these classes."""
        return complexity.params(self.spec, self.num_classes)

    @property
    def madds(self) -> int:
        """Multiply-adds of the same, for one image."""
        return complexity.madds(self.spec, self.num_classes)


@dataclasses.dataclass(frozen=True)
class Run(Plan):
    """A plan, and the config that it was made from.

    Args:
      values: of the point.
      config: of the run.
    """

    values: Values
    config: Configuration


def claim(
    path: str, sweep: Sweep, runs: Mapping[int, "Run"] | None = None
) -> SweepFolder:
    """Makes the folder this sweep's, or finds that it already is.

    The plan of every point that is known is written, so that a report needs no code.

    Args:
      path: the folder.
      sweep: whose it becomes.
      runs: those that were planned already, by the numbers of their points.

    Raises:
      UserError: the folder belongs to another sweep, or cannot be written; or the
        config file of the runs cannot be used, or has changed since.
    """
    folder = workdir.of(path).path
    config = definition.run_config(sweep, sweep.points[0])
    workdir.refuse_other_owner(path, "sweep.json")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"):
            if not (folder / "sweep.json").exists():
                name = f"{folder.name}-{uuid.uuid4().hex[:8]}"
                claim = _Claim(name=name, sweep=sweep, config=config)
                text = claim.model_dump_json(indent=2) + "\n"
                workdir.replace_file(folder / "sweep.json", text)
    except OSError as error:
        raise workdir.unwritable(path, error) from None
    files = open_folder(path)
    as_read = Sweep.model_validate_json(sweep.model_dump_json())  # without tuples
    changed = differences(files.sweep, as_read)
    if changed:
        more = f" and {len(changed) - 1} more" if changed[1:] else ""
        raise UserError(
            f"--workdir {path} belongs to another sweep: use another. It differs in "
            f"{changed[0]}{more}."
        )
    files.check_config()
    for number in range(sweep.size):
        _write_plan(files, number, (runs or {}).get(number))
    return files


def _write_plan(files: SweepFolder, number: int, run: "Run | None") -> None:
    """Plans a point, if it is known and no network of another kind is drawn there."""
    values = files.values(number)
    if values is None or (files.point(number) / "plan.json").exists():
        return
    with contextlib.suppress(UserError):  # the worker that takes the point says it
        files.save_plan(number, run or plan(files.sweep, values))


def open_folder(path: str) -> SweepFolder:
    """The folder of a sweep that has begun.

    Raises:
      UserError: there is none, or its file cannot be read.
    """
    folder = pathlib.Path(path).expanduser().absolute()
    file = folder / "sweep.json"
    if not file.exists():
        raise UserError(f"{path} holds no sweep: it has no sweep.json.")
    claim = _load(
        file,
        _Claim,
        "Without it the folder cannot be read: use the runs in `points` by themselves.",
    )
    return SweepFolder(folder, claim.name, claim.sweep, claim.config)


def plan(sweep: Sweep, values: Values) -> Run:
    """What will be run at a point; see `prepare`."""
    return prepare(sweep, values)[0]


def prepare(sweep: Sweep, values: Values) -> tuple[Run, Task]:
    """What will be run at a point, and its task, whose data is open.

    Raises:
      UserError: a value of the config is wrong, or the data set is not available.
    """
    config = definition.run_config(sweep, values)
    try:
        task = make_task(config)
    except UserError as error:
        raise UserError(f"At {definition.in_words(values)}: {error}") from None
    description = from_values(task.description)
    spec, num_classes = description.network, len(description.class_names)
    run = Run(
        values=values,
        config=config,
        spec=spec,
        num_classes=num_classes,
        total_steps=config.total_steps(task.train_size),
        headline=task.headline,
    )
    return run, task


class Reader:
    """Reads the results of a sweep from its folder alone, as often as wanted."""

    def __init__(self, files: SweepFolder):
        self._files = files
        # What does not change any more.
        self._plans: dict[int, Plan] = {}
        self._ended: dict[int, Result] = {}

    def plan(self, number: int) -> Plan | None:
        """See `SweepFolder.plan`."""
        if number not in self._plans:
            stored = self._files.plan(number)
            if stored is None:
                return None
            self._plans[number] = stored
        return self._plans[number]

    def results(self) -> list[Result]:
        """Of all points whose values are known.

        Raises:
          UserError: a file of a point is damaged.
        """
        numbers = range(self._files.sweep.size)
        found = (self._result(number) for number in numbers)
        return [result for result in found if result]

    def _result(self, number: int) -> Result | None:
        if number in self._ended:
            return self._ended[number]
        folder = self._files.point(number)
        outcome = self._files.outcome(number)
        values = self._files.values(number)
        if values is None:
            return None
        records = read_metrics(workdir.Workdir(folder).metrics)
        begun = "unfinished" if (folder / "point.json").exists() else "waiting"
        result = Result(
            number=number,
            values=definition.flatten(values),
            state=outcome.state if outcome else begun,
            error=outcome.error if outcome else "",
            records=records,
            workdir=folder,
            command=self._command(number, values),
            **_facts(self.plan(number), records),
        )
        if outcome:
            self._ended[number] = result
        return result

    def _command(self, number: int, values: Values) -> str:
        folder = self._files.by_itself(number)
        return definition.command(self._files.sweep, values, folder)


def _facts(plan: Plan | None, records: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields of a `Result` that its plan has; a point that is no network has none.

    Until its worker has planned a point that a search has drawn, it has none either.
    """
    if plan is None:
        return {
            "network": "",
            "resolution": 0,
            "parameters": 0,
            "madds": 0,
            "accuracy": None,
            "headline": "",
            "total_steps": 0,
        }
    return {
        "network": plan.spec.name,
        "resolution": plan.spec.resolution,
        "parameters": plan.parameters,
        "madds": plan.madds,
        "accuracy": (accuracies(records, plan.headline) or [None])[-1],
        "headline": headline_key(plan.headline),
        "total_steps": plan.total_steps,
    }


def accuracies(records: list[dict[str, Any]], headline: str) -> list[float]:
    """Of the averaged weights, at each evaluation in a training's records."""
    key = headline_key(headline)
    return [record[key] for record in records if key in record]


def headline_key(headline: str) -> str:
    """What a task's headline of the averaged weights on "val" is called in a log."""
    return f"val/ema/{headline}"
