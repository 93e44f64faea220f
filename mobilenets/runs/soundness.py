"""Whether the checkpoints of a run are what was saved, and what is done if not."""

import itertools
import json
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mobilenets.config import version_1
from mobilenets.config.check import from_json
from mobilenets.config.differences import Difference, differences
from mobilenets.config.schema import Configuration
from mobilenets.errors import UserError
from mobilenets.runs import hashes, history, workdir
from mobilenets.runs.workdir import Workdir, replace_file

_HASH = "sha256"  # of all else that is saved beside the state
SCORE = "headline"  # in the metrics of a checkpoint; version 0.1 knew no other score


def with_hashes(
    run: dict[str, Any], step: int, state: Any, score: float | None
) -> dict[str, Any]:
    """What is saved beside the state, with all that `fault` compares."""
    contents = run | {
        "step": step,
        "score": score,
        "arrays": hashes.of_arrays(state),
    }
    contents = json.loads(json.dumps(contents))  # as it will be read
    return contents | {_HASH: hashes.of_json(contents)}


def fault(checkpoint: pathlib.Path) -> str:
    """What is wrong with a checkpoint, in a few words; "" if it is sound.

    All of it is read. One of an older version has no hashes: it is sound if it can be
    read.

    Args:
      checkpoint: its folder, which is named for its step.
    """
    if not ocp.utils.is_checkpoint_finalized(checkpoint):
        return "it is not complete"
    try:
        run = read_run(checkpoint)
        arrays = _read_arrays(checkpoint / "state")
        score = _read_score(checkpoint / "metrics")
    except Exception as error:  # damage has any form
        return f"it cannot be read: {reason(error)}"
    if str(arrays.get("step")) != checkpoint.name:
        return f"its state is that of step {arrays.get('step')}"
    if _HASH not in run:
        return ""
    contents = {key: value for key, value in run.items() if key != _HASH}
    if hashes.of_json(contents) != run[_HASH]:
        return "the facts of its run are not what was saved"
    if json.dumps(score) != json.dumps(run["score"]):
        return "its metrics are not what was saved"
    return different(run, arrays, whole=True)


def different(run: dict[str, Any], arrays: Any, whole: bool = False) -> str:
    """Which arrays are not what was saved, in a few words; "" if all are.

    Args:
      run: what was saved beside them; one of an older version has no hashes.
      arrays: a tree of what was read.
      whole: it is all that was saved, not a part.
    """
    if "arrays" not in run:
        return ""
    saved, found = run["arrays"], hashes.of_arrays(arrays)
    names = saved.keys() | found.keys() if whole else found.keys()
    wrong = sorted(name for name in names if saved.get(name) != found.get(name))
    if not wrong:
        return ""
    others = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"its array {wrong[0]}{others} is not what was saved"


def read_run(checkpoint: pathlib.Path) -> dict[str, Any]:
    """What was saved beside the state, see `Checkpoints.save`."""
    return _read_json(checkpoint / "run", "metadata")


def reason(error: Exception) -> str:
    """The first line of an error, without the parameters that TensorStore appends.

    Orbax wraps that of TensorStore into one that names no file.
    """
    line = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0]
    for appended in (" [tensorstore_spec", " See full TensorStore details"):
        line = line.partition(appended)[0]
    return line.removesuffix(".")


def _read_arrays(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """The state as nested dictionaries of arrays on the host, without its network."""
    handler: Any = ocp.PyTreeCheckpointHandler()
    tree = handler.metadata(folder).tree
    on_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    return handler.restore(folder, args=ocp.args.PyTreeRestore(restore_args=on_host))


def _read_score(folder: pathlib.Path) -> float | None:
    """The score of an evaluated checkpoint."""
    if not folder.exists():
        return None
    return _read_json(folder, "metrics")[SCORE]


def _read_json(folder: pathlib.Path, name: str) -> dict[str, Any]:
    handler: Any = ocp.JsonCheckpointHandler(filename=name)  # any path, says Orbax
    return handler.restore(folder, args=ocp.args.JsonRestore())


def note_saved(files: Workdir, step: int) -> None:
    """Records the last checkpoint that is complete, to notice if it is gone."""
    replace_file(files.last_checkpoint, json.dumps({"step": step}) + "\n")


def _last_saved(files: Workdir) -> int:
    """The step of the last checkpoint that was complete, 0 without any."""
    try:
        return int(json.loads(files.last_checkpoint.read_text())["step"])
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{files.last_checkpoint} cannot be read, so it is not known whether "
            "checkpoints are missing: if all of them are there, delete the file."
        ) from None


def has_no_checkpoint(files: Workdir) -> str:
    """A clause on a run without checkpoints: it has saved none, or they are gone."""
    last = _last_saved(files)
    if last:
        return (
            f"has no checkpoint left, though it had saved step {last}: put them back "
            f"into {files.checkpoints}, or train anew in another folder"
        )
    return "has saved no checkpoint yet"


def faults(files: Workdir) -> dict[int, str]:
    """What is wrong with each checkpoint by its step, "" for a sound one.

    Raises:
      UserError: the record of the last one is damaged.
    """
    found = {step: fault(files.checkpoints / str(step)) for step in files.steps}
    last = _last_saved(files)
    if last > max(found, default=0):
        found[last] = "it is missing"
    return found


def other_config(
    files: Workdir, step: int, config: Configuration, warm_restart: bool = False
) -> list[Difference]:
    """In what the config of a run differs from that in a sound checkpoint.

    Left out is what a warm restart has changed since, and what changes no result.

    Args:
      files: of the run.
      step: of the checkpoint.
      config: of the run.
      warm_restart: one begins now.
    """
    saved = read_run(files.checkpoints / str(step))["config"]
    if version_1.is_version_1(saved):  # training does not resume from it
        return []
    restarted = any(r.step >= step for r in history.read(files.history))
    found = differences(from_json(json.dumps(saved)), config)
    return workdir.that_matter(found, warm_restart=warm_restart or restarted)


def recover(files: Workdir) -> list[str]:
    """Sets damaged checkpoints aside, so that the latest one is sound.

    Returns:
      What was done, in sentences.

    Raises:
      UserError: there were checkpoints, and none is sound. All are left as they are.
    """
    found = faults(files)
    sound = [step for step, wrong in found.items() if not wrong]
    damaged = {step: wrong for step, wrong in found.items() if wrong}
    if damaged and not sound:
        told = "; ".join(f"that of step {s}: {wrong}" for s, wrong in damaged.items())
        raise UserError(
            f"No checkpoint of --workdir {files.path} can be used ({told}): bring back "
            "a copy of its folder checkpoints, or begin again in another --workdir."
        )
    done = [_set_aside(files, step, damaged[step]) for step in sorted(damaged)]
    if any(step > sound[0] for step in damaged):
        done.append(f"The run continues from the checkpoint of step {sound[0]}.")
        note_saved(files, sound[0])
    return done


def _set_aside(files: Workdir, step: int, wrong: str) -> str:
    """Moves a damaged checkpoint out of the way; says so."""
    checkpoint = files.checkpoints / str(step)
    told = f"The checkpoint of step {step} is not used, because {wrong}"
    if not checkpoint.exists():
        return f"{told}."
    aside = files.damaged_checkpoints / str(step)
    for number in itertools.count(1):
        if not aside.exists():
            break
        aside = files.damaged_checkpoints / f"{step}.{number}"
    try:
        files.damaged_checkpoints.mkdir(exist_ok=True)
        checkpoint.rename(aside)
    except OSError as error:
        raise workdir.unwritable(str(files.path), error) from None
    return f"{told}. It is now {aside}."
