"""The folder of an adaptation.

FOLDER/netadapt.json        what is adapted and how
FOLDER/latency_table.csv    the latency table, if latency is reduced
FOLDER/proposals.jsonl      every proposal that was trained, a line each
FOLDER/steps/1/             the weights of the proposal that step 1 has chosen
FOLDER/adapted.json         the network at the target, a spec for `model.spec`
FOLDER/adapted/             its weights, for --weights and `init_from`
"""

import contextlib
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import filelock
import pydantic
from annotated_types import Ge, Gt, Le, Lt

from mobilenets.config import check, json_files
from mobilenets.config.differences import differences
from mobilenets.config.schema import Configuration, Section
from mobilenets.errors import UserError
from mobilenets.runs import workdir
from mobilenets.search import latency_table
from mobilenets.search.latency_table import Table


class Adaptation(Section):
    """How a network is narrowed.

    Args:
      target: the cost of the result, as a fraction of the first network's.
      delta: what each step saves at least, as a fraction of the first network's cost.
        MobileNetV3, Sec. 4.2, has 0.01.
      steps: T of the paper, for which each proposal is trained. There it is 10,000.
      objective: the cost: milliseconds of the latency table, or MAdds.
    """

    target: Annotated[float, Gt(0), Lt(1)]
    delta: Annotated[float, Gt(0), Lt(1)]
    steps: Annotated[int, Ge(1), Le(1_000_000)]
    objective: Literal["latency", "madds"]


def adaptation(**values: Any) -> Adaptation:
    """The `Adaptation` with these values.

    Raises:
      UserError: one of them is not allowed.
    """
    try:
        return Adaptation(**values)
    except pydantic.ValidationError as error:
        raise check.in_words("The adaptation", error) from None


class _Claim(Section):
    """What `netadapt.json` holds.

    Args:
      adaptation: how.
      config: of the training of the proposals.
      weights: the hash of the first network's.
    """

    adaptation: Adaptation
    config: Configuration
    weights: str


@dataclasses.dataclass(frozen=True)
class Trained:
    """A proposal that was trained.

    Args:
      step: of the adaptation, from 1.
      width: what it narrows.
      before: channels before.
      channels: channels after.
      cost: of the network, milliseconds or MAdds.
      accuracy: on the ranking images, from 0 to 1; 0 if the loss is not finite.
    """

    step: int
    width: str
    before: int
    channels: int
    cost: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class AdaptationFolder:
    """The paths of an adaptation's files.

    Args:
      path: absolute.
    """

    path: pathlib.Path

    @property
    def table(self) -> pathlib.Path:
        """The latency table."""
        return self.path / "latency_table.csv"

    @property
    def spec(self) -> pathlib.Path:
        """The network at the target."""
        return self.path / "adapted.json"

    @property
    def weights(self) -> pathlib.Path:
        """Its weights."""
        return self.path / "adapted"

    @property
    def proposals(self) -> pathlib.Path:
        """The proposals, in the order of their training."""
        return self.path / "proposals.jsonl"

    def chosen(self, step: int) -> pathlib.Path:
        """The weights that a step has chosen."""
        return self.path / "steps" / str(step)

    def steps_done(self) -> int:
        """The steps that have chosen a proposal."""
        return next(n for n in itertools.count() if not self.chosen(n + 1).exists())

    def trained(self) -> list[Trained]:
        """The proposals so far. A line that a kill has cut off is removed.

        Raises:
          UserError: the file is damaged.
        """
        if not self.proposals.exists():
            return []
        text = self.proposals.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            workdir.replace_file(self.proposals, whole)
        result = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                result.append(Trained(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise UserError(
                    f"{self.proposals}, line {number} is damaged ({error}): use another"
                    " --workdir."
                ) from None
        return result

    def add(self, proposal: Trained) -> None:
        """Writes down a proposal."""
        with self.proposals.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(proposal)) + "\n")


@contextlib.contextmanager
def held(
    path: str, adaptation: Adaptation, config: Configuration, weights: str
) -> Iterator[AdaptationFolder]:
    """The folder of an adaptation, for this process alone.

    Args:
      path: the folder.
      adaptation: see `_Claim`, as the others.
      config: of the training.
      weights: their hash.

    Raises:
      UserError: it belongs to something else, another process adapts there, or it
        cannot be written.
    """
    files = AdaptationFolder(workdir.of(path).path)
    workdir.refuse_other_owner(path, "netadapt.json")
    try:
        files.path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(files.path / ".lock").acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"Another adaptation is running in --workdir {path}: wait until it ends, or"
            " use another --workdir."
        ) from None
    except OSError as error:
        raise workdir.unwritable(path, error) from None
    with lock:
        claim = _Claim(adaptation=adaptation, config=config, weights=weights)
        _claim(files, path, claim)
        yield files


def _claim(files: AdaptationFolder, path: str, claim: _Claim) -> None:
    """Writes netadapt.json, or raises UserError if it is another adaptation's."""
    file = files.path / "netadapt.json"
    text = claim.model_dump_json(indent=2)
    if not file.exists():
        workdir.replace_file(file, text + "\n")
        return
    try:
        saved = _Claim.model_validate_json(json.dumps(json_files.load(file)))
    except pydantic.ValidationError as error:
        raise UserError(f"{file} is damaged: {error.errors()[0]['msg']}.") from None
    now = _Claim.model_validate_json(text)  # without tuples, as saved
    changed = [
        *differences(saved.adaptation, now.adaptation),
        *differences(saved.config, now.config),
    ]
    if changed:
        raise UserError(
            f"--workdir {path} belongs to another adaptation: use another. It differs "
            f"in {changed[0]}."
        )
    if saved.weights != now.weights:
        raise UserError(
            f"--workdir {path} belongs to an adaptation of other weights: use another."
        )


def use_table(files: AdaptationFolder, given: str | None) -> Table:
    """The latency table of the adaptation, with the rows that it has so far.

    Args:
      files: of the adaptation.
      given: a CSV file; None for the one in the folder. Without either it is an empty
        one of this machine.

    Raises:
      UserError: it cannot be read, or changes what the adaptation has read.
    """
    saved = latency_table.read(files.table) if files.table.exists() else None
    if given is None:
        return saved or Table(latency_table.device_name(), {})
    table = latency_table.read(pathlib.Path(given))
    if saved is None:
        return table
    # As they are written.
    times = {key: float(f"{time:.6g}") for key, time in table.milliseconds.items()}
    has_changed = any(
        times.get(key, time) != time for key, time in saved.milliseconds.items()
    )
    if table.device != saved.device or has_changed:
        raise UserError(
            f"--latency-table {given} differs from {files.table}, with which the "
            "adaptation has begun: use another --workdir."
        )
    # What was measured since is in the saved one only.
    return Table(table.device, {**table.milliseconds, **saved.milliseconds})
