"""What was changed in a run when it was resumed with a warm restart."""

import json
import pathlib
from typing import Any

import pydantic

from mobilenets.config.differences import Difference
from mobilenets.errors import UserError
from mobilenets.runs.workdir import Workdir, replace_file


class Restart(pydantic.BaseModel):
    """A warm restart.

    Args:
      step: the last one before it; the schedule counts from there.
      changes: the values before and after, by the key of the config.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    step: int
    changes: dict[str, tuple[Any, Any]]

    def __str__(self) -> str:
        changes = ", ".join(f"{k} {a!r} → {b!r}" for k, (a, b) in self.changes.items())
        return f"Warm restart at step {self.step}: {changes or 'nothing is changed'}."


_RESTARTS = pydantic.TypeAdapter(list[Restart])


def read(path: pathlib.Path) -> list[Restart]:
    """The warm restarts of a run, the first one first.

    Raises:
      UserError: the file is damaged.
    """
    try:
        return _RESTARTS.validate_json(path.read_text())
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        raise UserError(
            f"{path} cannot be read: it is damaged. Use another --workdir."
        ) from None


def last_step(path: pathlib.Path) -> int:
    """That of the last warm restart of a run, 0 without any."""
    restarts = read(path)
    return restarts[-1].step if restarts else 0


def add(workdir: Workdir, step: int, changes: list[Difference]) -> Restart:
    """Records a warm restart.

    One that was begun before at the same step, and did not come to save a checkpoint,
    becomes a part of it.
    """
    earlier = read(workdir.history)
    merged: dict[str, tuple[Any, Any]] = {}
    if earlier and earlier[-1].step == step:
        merged = earlier.pop().changes
    for change in changes:
        old = merged.get(change.key, (change.old,))[0]
        merged[change.key] = (old, change.new)
    restart = Restart(step=step, changes=merged)
    restarts = [r.model_dump(mode="json") for r in [*earlier, restart]]
    replace_file(workdir.history, json.dumps(restarts, indent=2) + "\n")
    return restart
