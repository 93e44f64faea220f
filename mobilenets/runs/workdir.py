"""The folder of one run: what lies where in it, and whose it is."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import jax

from mobilenets.config.check import from_json
from mobilenets.config.differences import Difference, differences, in_words
from mobilenets.config.schema import Configuration
from mobilenets.errors import UserError

# What does not change the result of a run: these may differ when it is resumed.
_FREE = {
    "remat",
    "log_every_steps",
    "evaluate_every_epochs",
    "dataset.num_workers",
    "dataset.data_dir",
    "dataset.max_bad_images",
    "tracker",
}
# What a warm restart may change: the state and the data stay what they are.
_OF_A_RESTART = ("optimizer.", "schedule.", "epochs", "early_stopping_evaluations")
# Except what gives the optimizer another state.
_OF_THE_STATE = ("optimizer.name", "optimizer.max_nonfinite_steps")
# What a folder may belong to, by the file that is in it.
_OWNERS = {
    "config.json": "a training",
    "sweep.json": "a sweep",
    "search.json": "a search",
    "netadapt.json": "an adaptation",
}


@dataclasses.dataclass(frozen=True)
class Workdir:
    """The paths of one run's files."""

    path: pathlib.Path

    @property
    def config(self) -> pathlib.Path:
        """The resolved configuration, every value spelled out."""
        return self.path / "config.json"

    @property
    def history(self) -> pathlib.Path:
        """The warm restarts, see `runs.history`."""
        return self.path / "history.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """The latest and the best checkpoint, each a folder named for its step."""
        return self.path / "checkpoints"

    @property
    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, the latest first, sound or not."""
        if not self.checkpoints.is_dir():
            return []
        names = (path.name for path in self.checkpoints.iterdir())
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    @property
    def damaged_checkpoints(self) -> pathlib.Path:
        """Checkpoints that were set aside, see `runs.soundness`."""
        return self.path / "damaged_checkpoints"

    @property
    def last_checkpoint(self) -> pathlib.Path:
        """The step of the last complete checkpoint, see `runs.soundness`."""
        return self.path / "last_checkpoint.json"

    @property
    def metrics(self) -> pathlib.Path:
        """Everything that was logged, a JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def damaged_metrics(self) -> pathlib.Path:
        """Lines of it that are no records."""
        return self.path / "metrics.damaged"

    @property
    def tensorboard(self) -> pathlib.Path:
        """The same for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def training_curves(self) -> pathlib.Path:
        """Loss, accuracy and learning rate over the steps."""
        return self.path / "training_curves.png"

    @property
    def first_batch(self) -> pathlib.Path:
        """Images of the first batch, augmented, with what is known of them."""
        return self.path / "first_batch.png"

    @property
    def predictions(self) -> pathlib.Path:
        """Evaluation images with what the model says of them."""
        return self.path / "predictions.png"


def of(path: str) -> Workdir:
    """The paths of a run, whether it has begun or not.

    Raises:
      UserError: it is empty, as an unset variable is, a file, or not a local folder.
    """
    if not path:
        raise UserError("--workdir is empty: give a folder.")
    if "://" in path:
        raise UserError(
            f"--workdir {path} is not a local folder: mount it, or use another."
        )
    folder = pathlib.Path(path).expanduser().absolute()
    if folder.is_file():
        raise UserError(f"--workdir {path} is a file: use a folder.")
    return Workdir(folder)


def refuse_other_owner(path: str, file: str) -> None:
    """Raises UserError if the folder belongs to something of another kind.

    Args:
      path: the folder.
      file: that is in a folder of the kind which is wanted, "sweep.json".
    """
    for other, owner in _OWNERS.items():
        if other != file and (of(path).path / other).exists():
            raise UserError(f"--workdir {path} belongs to {owner}: use another.")


def claim(path: str, config: Configuration, warm_restart: bool = False) -> Workdir:
    """Makes the folder this run's, or finds that it already is.

    Args:
      path: the folder.
      config: of the run.
      warm_restart: accept another optimizer setting, schedule or number of epochs;
        the caller then saves it.

    Raises:
      UserError: the folder belongs to a run with another configuration or to something
        else, or cannot be written; or there is no run to restart.
    """
    workdir = of(path)
    refuse_other_owner(path, workdir.config.name)
    if workdir.config.exists():
        refuse_other_config(workdir, config, warm_restart=warm_restart)
        if not warm_restart and changes(workdir, config):
            save_config(workdir, config)
        return workdir
    if warm_restart and not workdir.steps:
        raise nothing_to_restart()
    try:
        workdir.path.mkdir(parents=True, exist_ok=True)
        save_config(workdir, config)
    except OSError as error:
        raise unwritable(path, error) from None
    return workdir


def nothing_to_restart() -> UserError:
    """The error for a warm restart of a run that has saved nothing."""
    return UserError(
        "--warm-restart needs a checkpoint, but the run has none: leave it out."
    )


def unwritable(path: str, error: OSError) -> UserError:
    """The error for a folder in which nothing can be saved."""
    reason = str(error).removeprefix(f"[Errno {error.errno}] ")
    return UserError(f"Cannot write to --workdir {path}: {reason}.")


def save_config(workdir: Workdir, config: Configuration) -> None:
    """Writes the configuration; the first process does."""
    if jax.process_index() == 0:
        replace_file(workdir.config, config.model_dump_json(indent=2) + "\n")


def replace_file(path: pathlib.Path, text: str) -> None:
    """Writes a file under its name when it is complete.

    A killed run leaves no half of it, nor does a machine that loses its power.
    """
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def changes(workdir: Workdir, config: Configuration) -> list[Difference]:
    """In what the configuration differs from the saved one.

    Raises:
      UserError: the saved one cannot be read.
    """
    return differences(read_config(workdir), config)


def of_run(path: str) -> Workdir:
    """The folder of a run that has begun.

    Raises:
      UserError: no run has begun there.
    """
    workdir = Workdir(pathlib.Path(path).expanduser().absolute())
    if not workdir.config.exists():
        raise UserError(f"--workdir {path} holds no run: it has no config.json.")
    return workdir


def read_config(workdir: Workdir) -> Configuration:
    """The configuration that the run was begun with.

    Raises:
      UserError: it cannot be read.
    """
    try:
        return from_json(workdir.config.read_text())
    except (OSError, ValueError):
        raise UserError(
            f"{workdir.config} cannot be read: it is damaged, or of another version. "
            "If it is damaged, delete it: the command that trained the run writes it "
            "again. Otherwise use another --workdir."
        ) from None


def refuse_other_config(
    workdir: Workdir,
    config: Configuration,
    sections: tuple[str, ...] = (),
    warm_restart: bool = False,
) -> None:
    """Raises UserError, naming the keys, if the run was made with another config.

    Args:
      workdir: of the run.
      config: the configuration that is given.
      sections: the top-level keys that must agree; all of them if empty.
      warm_restart: see `claim`.
    """
    refuse_differences(
        f"--workdir {workdir.path}",
        that_matter(changes(workdir, config), sections, warm_restart),
        may_restart=not sections and bool(workdir.steps),
    )


def that_matter(
    found: Sequence[Difference],
    sections: tuple[str, ...] = (),
    warm_restart: bool = False,
) -> list[Difference]:
    """The differences that make another run; see `refuse_other_config`."""
    return [
        change
        for change in found
        if change.key not in _FREE
        and not (warm_restart and _is_of_a_restart(change.key))
        and (not sections or change.key.partition(".")[0] in sections)
    ]


def refuse_differences(
    place: str, changed: Sequence[Difference], may_restart: bool = True
) -> None:
    """Raises UserError, naming the keys, if there is any difference.

    Args:
      place: where the saved config is.
      changed: the differences from it.
      may_restart: a warm restart is a way out, where it allows all of them.
    """
    if not changed:
        return
    may_restart &= all(_is_of_a_restart(c.key) for c in changed)
    hint = ", or --warm-restart to train on with these values" if may_restart else ""
    raise UserError(
        f"{place} belongs to a run with another config, which "
        f"differs in {in_words(changed)}: use another --workdir, or "
        f"the run's own config{hint}."
    )


def _is_of_a_restart(key: str) -> bool:
    return key.startswith(_OF_A_RESTART) and key not in _OF_THE_STATE
