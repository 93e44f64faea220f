"""The folder of one run: what lies where in it, and whose it is."""

import dataclasses
import pathlib

import jax

from mobilenets.config.check import from_json
from mobilenets.config.differences import differences
from mobilenets.config.schema import Configuration
from mobilenets.errors import UserError

# How a run is computed, not what: these may change when it goes on.
_OF_THE_MACHINE = {"remat"}


@dataclasses.dataclass(frozen=True)
class Workdir:
    """The paths of one run's files."""

    path: pathlib.Path

    @property
    def config(self) -> pathlib.Path:
        """The resolved configuration, every value spelled out."""
        return self.path / "config.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """The latest and the best checkpoint, each a folder named for its step."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> pathlib.Path:
        """Everything that was logged, a JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> pathlib.Path:
        """The same for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def training_curves(self) -> pathlib.Path:
        """Loss, accuracy and learning rate over the steps."""
        return self.path / "training_curves.png"

    @property
    def predictions(self) -> pathlib.Path:
        """Evaluation images with what the model says of them."""
        return self.path / "predictions.png"


def claim(path: str, config: Configuration) -> Workdir:
    """Makes the folder this run's, or finds that it already is.

    Raises:
      UserError: the folder belongs to a run with another configuration, or cannot be
        written.
    """
    if "://" in path:
        raise UserError(
            f"--workdir {path} is not a local folder: mount it, or use another."
        )
    workdir = Workdir(pathlib.Path(path).expanduser().absolute())
    if workdir.config.exists():
        refuse_other_config(workdir, config)
        return workdir
    try:
        workdir.path.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0:
            # Renamed when complete: a run killed meanwhile leaves no half config.
            unfinished = workdir.config.with_suffix(".unfinished")
            unfinished.write_text(config.model_dump_json(indent=2) + "\n")
            unfinished.rename(workdir.config)
    except OSError as error:
        raise UserError(f"Cannot write to --workdir {path}: {error}.") from None
    return workdir


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
            "Use another --workdir."
        ) from None


def refuse_other_config(
    workdir: Workdir, config: Configuration, sections: tuple[str, ...] = ()
) -> None:
    """Raises UserError, naming the keys, if the run was made with another config.

    Args:
      workdir: of the run.
      config: the configuration that is given.
      sections: the top-level keys that must agree; all of them if empty.
    """
    old = read_config(workdir)
    changed = [
        difference
        for difference in differences(old, config)
        if difference.key not in _OF_THE_MACHINE
        and (not sections or difference.key.partition(".")[0] in sections)
    ]
    if changed:
        raise UserError(
            f"--workdir {workdir.path} belongs to a run with another config, which "
            f"differs in {', '.join(map(str, changed))}: use another --workdir, or "
            "the run's own config."
        )
