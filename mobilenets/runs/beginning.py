"""What is found out about the folder of a run before anything is computed."""

import contextlib
import errno
import tempfile
from collections.abc import Iterator

import filelock

from mobilenets.config.schema import Configuration
from mobilenets.errors import UserError
from mobilenets.runs import soundness, workdir
from mobilenets.runs.workdir import Workdir
from mobilenets.runtime import processes
from mobilenets.runtime.console import console

# What a file system says that has no locks, such as one of a network without its
# service for them.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextlib.contextmanager
def held(
    path: str, config: Configuration, warm_restart: bool = False
) -> Iterator[Workdir]:
    """The folder of a run, ready to be trained in, for this training alone.

    The first process finds all out; the others end with its error. Damaged checkpoints
    are set aside.

    Args:
      path: the folder.
      config: of the run.
      warm_restart: see `workdir.claim`.

    Raises:
      UserError: another training holds it, it cannot be written, no checkpoint is
        sound, or it belongs to a run with another configuration.
    """
    files = workdir.of(path)
    with contextlib.ExitStack() as stack:

        def begin() -> None:
            stack.enter_context(_locked(files, path))
            _try_to_write(files, path)
            if files.config.exists():  # of another run nothing is set aside
                workdir.refuse_other_config(files, config, warm_restart=warm_restart)
            for sentence in soundness.recover(files):
                console.print(sentence, markup=False, soft_wrap=True)
            _check_saved_config(files, config, warm_restart)
            workdir.claim(path, config, warm_restart)

        processes.on_first(begin)
        yield files


@contextlib.contextmanager
def _locked(files: Workdir, path: str) -> Iterator[None]:
    """Holds the lock of the folder."""
    try:
        files.path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(files.path / ".training.lock").acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"Another training is running in --workdir {path}: wait until it ends, or "
            "use another --workdir."
        ) from None
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise workdir.unwritable(path, error) from None
        console.print(
            f"warning: the file system of {path} has no locks: nothing prevents a "
            "second training there.",
            soft_wrap=True,
        )
        yield
        return
    with lock:
        yield


def _try_to_write(files: Workdir, path: str) -> None:
    """Writes and deletes a file wherever the run will write some.

    Raises:
      UserError: that cannot be done.
    """
    try:
        for folder in (files.path, files.checkpoints, files.tensorboard):
            folder.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"0" * 4096)
        for step in files.steps:  # which is deleted when there is a better
            with tempfile.TemporaryFile(dir=files.checkpoints / str(step)):
                pass
    except OSError as error:
        raise workdir.unwritable(path, error) from None


def _check_saved_config(
    files: Workdir, config: Configuration, warm_restart: bool
) -> None:
    """Raises UserError if the latest checkpoint is of a run with another config."""
    for step in files.steps[:1]:
        workdir.refuse_differences(
            f"{files.checkpoints / str(step)}",
            soundness.other_config(files, step, config, warm_restart),
        )
