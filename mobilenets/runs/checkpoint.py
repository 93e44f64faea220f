"""Checkpoints: state and configuration together, by Orbax.

The position in the data follows from the step.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from mobilenets.config import version_1
from mobilenets.errors import NotSaved, Stuck, UserError
from mobilenets.runs import history, soundness
from mobilenets.runs.soundness import SCORE
from mobilenets.runs.workdir import Workdir

# A save that takes longer does not end any more: the file system does not answer.
SAVE_SECONDS = 600
_VERSION_1_HEADLINE = "top1"  # version 0.1 classified, and did not save it


# A warning of Orbax that a folder is opened as we asked for.
_READ_ONLY = "Given directory is read only"


@contextlib.contextmanager
def _silent_of(beginning: str) -> Iterator[None]:
    """Drops what Orbax logs if it begins so."""

    def is_another(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(beginning)

    logger = logging.getLogger("absl")
    logger.addFilter(is_another)
    try:
        yield
    finally:
        logger.removeFilter(is_another)


class Checkpoints:
    """The checkpoints of one run: the latest and the best are kept.

    The best is the one with the highest score, of equal ones the later. One saved on an
    interrupt has no score.

    Args:
      workdir: of the run.
      read_only: leave everything as it is, for evaluation beside a running training.
    """

    def __init__(self, workdir: Workdir, read_only: bool = False):
        self._files = workdir
        self._saving: int | None = None  # the step that is being saved
        self._is_stuck = False  # that never ends

        def score(metrics: dict[str, float]) -> float:
            return metrics[SCORE]

        policies = checkpoint_managers
        options = ocp.CheckpointManagerOptions(
            best_fn=score,
            read_only=read_only,
            # What `read_only` means; Orbax warns where it has to set them itself.
            create=not read_only,
            save_interval_steps=0 if read_only else 1,
            # A folder that cannot be made is an error at once, not a wait for it.
            async_options=ocp.AsyncOptions(
                timeout_secs=SAVE_SECONDS, create_directories_asynchronously=False
            ),
            preservation_policy=policies.AnyPreservationPolicy(
                [
                    policies.LatestN(1),
                    policies.BestN(
                        get_metric_fn=score,
                        n=1,
                        keep_checkpoints_without_metrics=False,
                    ),
                ]
            ),
        )
        with _silent_of(_READ_ONLY):
            try:
                self._manager = ocp.CheckpointManager(
                    workdir.checkpoints, options=options
                )
            except Exception as error:  # damage has any form
                raise UserError(
                    f"The checkpoints in {workdir.checkpoints} cannot be read: "
                    f"{soundness.reason(error)}.{self._hint}"
                ) from None

    @property
    def latest_step(self) -> int | None:
        """The step of the latest complete checkpoint, None without any."""
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """The step of the best checkpoint, None if none was evaluated."""
        step = self._manager.best_step()
        return None if step is None or not self._manager.metrics(step) else step

    def save(
        self,
        step: int,
        state: Any,
        run: dict[str, Any],
        score: float | None,
    ) -> None:
        """Saves in the background; `wait` returns when it is on disk.

        Args:
          step: updates done.
          state: a pytree of arrays; it is copied before this returns, so it may be
            donated.
          run: JSON values: "config" of the run, the "data_facts" that must not change
            when it resumes, the "description" of what its weights belong to, the
            "headline", the metric that says most, whether the run is "finished", and
            whether it "lacks_evaluation", which was due.
          score: of the averaged weights, more is better; None without an evaluation.

        Raises:
          UserError: as `wait`, of this checkpoint or the one before.
        """
        self.wait()  # for the one before, which may fail
        with self._save_errors(step):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.PyTreeSave(state),
                    run=ocp.args.JsonSave(
                        soundness.with_hashes(run, step, state, score)
                    ),
                ),
                metrics=None if score is None else {SCORE: score},
                force=True,
            )
        self._saving = step

    def check_data(self, step: int, data_facts: dict[str, Any]) -> None:
        """Compares the data with those of a checkpoint.

        Args:
          step: of the checkpoint.
          data_facts: the task's, as many of them as must agree.

        Raises:
          UserError: a fact differs, or the checkpoint is damaged.
        """
        saved = self.data_facts(step)
        changed = [name for name, fact in data_facts.items() if saved[name] != fact]
        if changed == ["teacher"]:
            raise UserError(
                "The teacher is not the one of the run: its weights changed. Use the "
                "same ones, or another --workdir."
            )
        if changed:
            raise UserError(
                f"The data set is not the one of the run: its {' and '.join(changed)} "
                "changed. Use the same images, or another --workdir."
            )

    def check_version(self, step: int) -> None:
        """Finds out whether a training can go on from a checkpoint.

        Raises:
          UserError: an older version has saved it, or it is damaged.
        """
        if self._is_of_version_1(step):
            raise UserError(
                f"The checkpoint of step {step} was saved by version 0.1: it can be "
                "used for evaluation and prediction, but training cannot resume from "
                "it. Use that version, or start from it with --config.init_from and "
                "another --workdir."
            )

    def _is_of_version_1(self, step: int) -> bool:
        return version_1.is_version_1(self._run(step)["config"])

    def check_description(self, step: int, description: dict[str, Any]) -> None:
        """Compares what the weights belong to with that of a checkpoint.

        Args:
          step: of the checkpoint.
          description: the task's, as much of it as must agree.

        Raises:
          UserError: network, preprocessing or classes differ, or the checkpoint is
            damaged.
        """
        if self._is_of_version_1(step):  # in other words; the task has it from there
            return
        saved = self.description(step)
        changed = [k for k in description if saved.get(k) != description[k]]
        if changed:
            raise UserError(
                f"The {' and '.join(changed)} is not that of the run: give the run's "
                "own config and data set and, if it has one, the init_from it "
                "started from."
            )

    def description(self, step: int) -> dict[str, Any]:
        """The task's description of what the weights of a checkpoint belong to.

        Raises:
          UserError: the checkpoint is damaged.
        """
        return self._run(step)["description"]

    def data_facts(self, step: int) -> dict[str, Any]:
        """The task's facts of the data that a checkpoint was trained on.

        Raises:
          UserError: the checkpoint is damaged.
        """
        return self._run(step)["data_facts"]

    def headline(self, step: int) -> str:
        """The metric that tells most of the task that a checkpoint is of.

        Raises:
          UserError: the checkpoint is damaged.
        """
        return self._run(step).get("headline", _VERSION_1_HEADLINE)

    def is_finished(self, step: int) -> bool:
        """Whether the run has ended with a checkpoint, perhaps before its last epoch.

        One from which a warm restart began is not the end.

        Raises:
          UserError: the checkpoint is damaged.
        """
        restarted = any(r.step == step for r in history.read(self._files.history))
        return self._run(step).get("finished", False) and not restarted

    def lacks_evaluation(self, step: int) -> bool:
        """Whether the evaluation that was due at a checkpoint could not be made.

        Raises:
          UserError: the checkpoint is damaged.
        """
        return self._run(step).get("lacks_evaluation", False)

    def _run(self, step: int) -> dict[str, Any]:
        with self._read_errors(step):
            run = self._manager.restore(
                step, args=ocp.args.Composite(run=ocp.args.JsonRestore())
            )["run"]
        if "description" not in run:
            raise UserError(
                f"The checkpoint of step {step} was saved by an older version of "
                "mobilenets, from which this one cannot resume: use that version, or "
                "train again in another --workdir."
            )
        return run

    def wait(self) -> None:
        """Waits for what is being saved.

        Raises:
          UserError: it could not be saved. The checkpoints before it are kept.
        """
        if self._saving is None:
            return
        step, self._saving = self._saving, None
        with self._save_errors(step):
            _within(SAVE_SECONDS, self._manager.wait_until_finished)
            if jax.process_index() == 0:
                soundness.note_saved(self._files, step)

    def restore(self, abstract_state: Any) -> Any:
        """The state of the latest checkpoint.

        Args:
          abstract_state: `jax.ShapeDtypeStruct`s with the shardings wanted.

        Raises:
          UserError: the checkpoint is damaged.
        """
        step = self.latest_step
        assert step is not None
        return self._restored(step, _restore_args(abstract_state))

    def restore_variables(self, step: int, abstract: dict[str, Any], ema: bool) -> Any:
        """Only the weights of a checkpoint, averaged or raw.

        Args:
          step: of the checkpoint.
          abstract: {"params", "batch_stats"} of `jax.ShapeDtypeStruct`s.
          ema: the averaged weights.

        Raises:
          UserError: the checkpoint is damaged or of another model.
        """
        item = {"ema": abstract} if ema else abstract
        restored = self._restored(step, _restore_args(item, partial=True))
        return restored["ema"] if ema else restored

    def _restored(self, step: int, args: ocp.args.PyTreeRestore) -> Any:
        """A state, or a part of it, whose arrays are what was saved."""
        with self._read_errors(step):
            state = self._manager.restore(step, args=ocp.args.Composite(state=args))[
                "state"
            ]
        wrong = soundness.different(self._run(step), state)
        if wrong:
            raise UserError(
                f"The checkpoint of step {step} is damaged: {wrong}.{self._hint}"
            )
        return state

    @property
    def _hint(self) -> str:
        return f" `mobilenets check-run {self._files.path}` checks all checkpoints."

    @contextlib.contextmanager
    def _read_errors(self, step: int) -> Iterator[None]:
        """Says that a checkpoint is damaged, where it cannot be read."""
        try:
            yield
        except Exception as error:  # damage has any form
            raise UserError(
                f"The checkpoint of step {step} cannot be read: "
                f"{soundness.reason(error)}. It is damaged, or was saved with another "
                f"network.{self._hint}"
            ) from None

    @contextlib.contextmanager
    def _save_errors(self, step: int) -> Iterator[None]:
        """Says that a checkpoint could not be saved, and which one is the last."""
        try:
            yield
        except Exception as error:  # of the disk, of Orbax and its threads
            kept = [s for s in self._files.steps if s != step]
            last = f"that of step {kept[0]} is kept" if kept else "there is no other"
            self._is_stuck = isinstance(error, TimeoutError)
            raise (Stuck if self._is_stuck else NotSaved)(
                f"The checkpoint of step {step} could not be saved in "
                f"{self._files.checkpoints}: {soundness.reason(error)}; {last}. Make "
                "room or give access, and start the same command again."
            ) from None

    def close(self) -> None:
        """Waits, then lets go of the folder."""
        with contextlib.suppress(UserError):  # where another error ends the run
            self.wait()
        if not self._is_stuck:
            with contextlib.suppress(Exception):  # what `wait` has raised, once more
                _within(SAVE_SECONDS, self._manager.close)


def _within(seconds: float, function: Callable[[], object]) -> None:
    """Calls a function that may never return, in a thread.

    Raises:
      TimeoutError: it takes longer.
    """
    errors: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"it takes longer than {seconds:g} seconds")
    if errors:
        raise errors[0]


def _restore_args(abstract: Any, partial: bool = False) -> ocp.args.PyTreeRestore:
    return ocp.args.PyTreeRestore(
        abstract,
        restore_args=ocp.checkpoint_utils.construct_restore_args(abstract),
        partial_restore=partial,
    )


def abstract_like(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    """Shapes and types of a tree of arrays, to be restored with that sharding."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )
