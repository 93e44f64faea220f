"""The training of any task. In every step the order is: update, log, evaluate, save."""

import contextlib
import dataclasses
import math
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from mobilenets.config import own_function
from mobilenets.config.schema import Configuration
from mobilenets.errors import BrokenImage, UserError
from mobilenets.evaluation.best import best_metric, evaluations_since_best
from mobilenets.evaluation.evaluator import Evaluator, Results
from mobilenets.runs import beginning, history, workdir
from mobilenets.runs.checkpoint import Checkpoints, abstract_like
from mobilenets.runs.metric_log import (
    MetricLog,
    Tracker,
    last_evaluation,
    read_metrics,
)
from mobilenets.runs.workdir import Workdir
from mobilenets.runtime import host_memory, sharding
from mobilenets.runtime.console import console
from mobilenets.tasks.base import Batches, HostBatch, Metrics, Task
from mobilenets.training.curves import draw_training_curves
from mobilenets.training.interrupt import StopRequest
from mobilenets.training.optimizers import make_optimizer, make_schedule
from mobilenets.training.progress import TrainingProgress, report
from mobilenets.training.stages import StagedBatches, stage_at
from mobilenets.training.state import TrainState, create_state
from mobilenets.training.step import SKIPPED, make_train_step
from mobilenets.training.throughput import FEWEST_STEPS, NOTABLE, Throughput, slow_input

AfterEvaluation = Callable[[int, Results], None]


def train(
    task: Task,
    directory: str,
    after_evaluation: AfterEvaluation = lambda step, results: None,
    warm_restart: bool = False,
) -> Results:
    """Trains until the last step, from the last checkpoint of the directory if any.

    Args:
      task: what to train; its `config` says how.
      directory: the workdir; everything the run leaves is in it.
      after_evaluation: is told the step and the results. What it raises ends the run,
        which resumes from that step if it is started again.
      warm_restart: begin the schedule anew at the last checkpoint, with the values of
        the optimizer, the schedule and the epochs that the task's `config` now has.

    Returns:
      The results of the last evaluation; of a run that is finished already, as well.

    Raises:
      UserError: the batch cannot be split over the devices, `best_metric` is not to be
        had, the directory belongs to another run, is in use or cannot be written, no
        checkpoint is sound, the data changed, an image is broken, the training
        diverged, or there is nothing to restart.
      SystemExit: on Ctrl-C or SIGTERM, after saving; with several processes on SIGTERM
        only.
    """
    console.quiet = jax.process_index() != 0
    config = task.config
    mesh = sharding.data_mesh(config.batch_size, config.accumulation_steps)
    if config.batch_size > task.train_size:
        raise UserError(
            f"batch_size {config.batch_size} is more than the {task.train_size} images "
            f"to train: use at most --config.batch_size={task.train_size}."
        )
    # Before there is a folder with a config that cannot be trained.
    best_metric(task)
    stages = task.stages
    total_steps = config.total_steps(task.train_size)
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(beginning.held(directory, config, warm_restart))
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(files)))
        first_step = checkpoints.latest_step or 0
        is_finished = _check_checkpoint(checkpoints, task)
        is_owed = not warm_restart and _evaluation_is_owed(checkpoints, files)
        if warm_restart:
            _restart(files, config, first_step, total_steps)
        elif is_finished or (first_step >= total_steps and not is_owed):
            console.print(f"Nothing to do: the run in {files.path} is finished.")
            if _lacks_pictures(files):
                _Training(task, mesh, files, checkpoints).draw()
            return last_evaluation(files.metrics)
        _announce(task, mesh)
        stop = stack.enter_context(StopRequest())
        schedule_start = first_step
        if not warm_restart:
            schedule_start = history.last_step(files.history)
        batches = stack.enter_context(
            contextlib.closing(StagedBatches(stages, first_step))
        )
        training = _Training(task, mesh, files, checkpoints, schedule_start)
        tracker = _tracker(config, files)
        log = stack.enter_context(
            contextlib.closing(MetricLog(files, first_step, tracker))
        )
        progress = stack.enter_context(TrainingProgress(total_steps, first_step))
        if is_owed:
            training.evaluate_first(log, progress, after_evaluation)
        last_step = training.run(batches, log, stop, progress, after_evaluation)
        checkpoints.wait()
        best_step = checkpoints.best_step
        if training.is_finished:  # and saved: no picture can cost the run
            training.draw()

    if not training.is_finished:
        console.print(f"Stopped and saved at step {last_step} of {total_steps}.")
        console.print("The same command continues from there.")
        sys.exit(stop.exit_code)
    heading = f"Finished {total_steps} step{'s' * (total_steps > 1)}"
    if last_step < total_steps:
        heading = f"Stopped early at step {last_step} of {total_steps}"
    report(heading, training.results, best_step, files)
    if stop.signal_number is not None:  # too late for this run, not for what comes next
        sys.exit(stop.exit_code)
    return training.results


def _announce(task: Task, mesh: Mesh) -> None:
    """Says what is trained, before minutes of compilation."""
    devices = f"{jax.default_backend().upper()} device{'s' * (mesh.size > 1)}"
    console.print(
        f"Training {task.summary}, batches of {task.config.batch_size:,}, on "
        f"{mesh.size} {devices}.",
        markup=False,
    )


def _lacks_pictures(files: Workdir) -> bool:
    """Whether a finished run was killed before it had drawn its pictures."""
    # Several processes draw together, and need not see the same files at once.
    drawn = files.training_curves.exists() and files.predictions.exists()
    return jax.process_count() == 1 and not drawn


def _check_checkpoint(checkpoints: Checkpoints, task: Task) -> bool:
    """Whether the run is finished; raises UserError if the checkpoint is another's."""
    step = checkpoints.latest_step
    if not step:
        return False
    checkpoints.check_version(step)
    checkpoints.check_data(step, task.data_facts)
    checkpoints.check_description(step, task.description)
    return checkpoints.is_finished(step)


def _evaluation_is_owed(checkpoints: Checkpoints, files: Workdir) -> bool:
    """Whether a broken image has ended the run in the evaluation of the checkpoint."""
    step = checkpoints.latest_step
    if not step or not checkpoints.lacks_evaluation(step):
        return False
    logged = [r for r in read_metrics(files.metrics) if r["step"] == step]
    return not any(key.startswith("val/") for record in logged for key in record)


def _restart(
    files: Workdir, config: Configuration, first_step: int, total_steps: int
) -> None:
    """Records a warm restart, and makes the config that of the run.

    Raises:
      UserError: there is no checkpoint, or no step is left to train.
    """
    if not first_step:
        raise workdir.nothing_to_restart()
    if first_step >= total_steps:
        raise UserError(
            f"--warm-restart has nothing to train: the run is at step {first_step}, and"
            f" epochs={config.epochs} are {total_steps} steps. Give more epochs."
        )
    if jax.process_index() == 0:
        restart = history.add(files, first_step, workdir.changes(files, config))
        workdir.save_config(files, config)
        console.print(str(restart))


def _tracker(config: Configuration, files: Workdir) -> Tracker | None:
    """The user's own function for records, on the first process."""
    if not config.tracker or jax.process_index() != 0:
        return None
    made = own_function.call(config.tracker, "tracker", config, files.path)
    if not callable(made):
        raise UserError(
            f"tracker {config.tracker} must return a function of the step and the "
            f"numbers, but returned {made!r}."
        )
    return made


def jitted_functions(
    task: Task, mesh: Mesh, schedule_start: int = 0
) -> tuple[jax.stages.Wrapped, jax.stages.Wrapped]:
    """(variables) -> `TrainState`, and the update.

    That is (state, batch, key, `Task.teacher_variables`) -> (new state, metrics). It
    writes the new state in place of the old one.

    Args:
      task: what is trained.
      mesh: see `sharding.data_mesh`.
      schedule_start: the step from which the schedule counts: that of the last warm
        restart.
    """
    config = task.config
    since_start = make_schedule(
        config.schedule,
        config.optimizer.learning_rate,
        task.train_size / config.batch_size,
        config.total_steps(task.train_size) - schedule_start,
    )

    def schedule(step: Any) -> Any:
        return since_start(step - schedule_start)

    optimizer = make_optimizer(config.optimizer, schedule, task.relative_rates)
    everywhere = sharding.replicated(mesh)
    create = jax.jit(
        lambda variables: create_state(variables, optimizer), out_shardings=everywhere
    )
    update = jax.jit(
        make_train_step(task, optimizer, schedule),
        in_shardings=(everywhere, sharding.by_example(mesh), everywhere, everywhere),
        out_shardings=everywhere,
        donate_argnums=0,
    )
    return create, update


@dataclasses.dataclass(frozen=True)
class _Due:
    """What follows an update.

    Args:
      evaluation: a period has ended, or the run has.
      end: it was the last update of the run.
      stop: somebody wishes to stop before the end.
      log: the metrics of the update are logged.
    """

    evaluation: bool
    end: bool
    stop: bool
    log: bool


class _Training:
    """A run while it is trained: its state, and what is done in a step.

    Args:
      task: what is trained.
      mesh: of the devices.
      files: of the run.
      checkpoints: the run resumes from the latest, if there is one.
      schedule_start: see `jitted_functions`.
    """

    def __init__(
        self,
        task: Task,
        mesh: Mesh,
        files: Workdir,
        checkpoints: Checkpoints,
        schedule_start: int = 0,
    ):
        self.results: Results = {}  # of the latest evaluation
        self.is_finished = False
        self._task, self._mesh, self._files = task, mesh, files
        self._config = task.config
        self._checkpoints = checkpoints
        self._first_step = checkpoints.latest_step or 0
        self._total_steps = self._config.total_steps(task.train_size)
        self._evaluator = Evaluator(task, mesh)
        self._best = best_metric(task)
        logged = read_metrics(files.metrics)
        self._scores = self._best.scores(
            [r for r in logged if schedule_start < r["step"] <= self._first_step]
        )
        self._throughput = Throughput(self._config.batch_size)
        self._told_of_input = False
        init_rng, self._rng = jax.random.split(jax.random.key(self._config.seed))
        self._stages = task.stages
        self._train_steps = [
            jitted_functions(staged, mesh, schedule_start)[1]
            for _, staged in self._stages
        ]
        create, _ = jitted_functions(task, mesh, schedule_start)
        self._state = (
            self._restored(create)
            if self._first_step
            else self._created(create, init_rng)
        )
        self._teacher_variables = jax.device_put(
            task.teacher_variables, sharding.replicated(mesh)
        )
        self._metrics: Metrics = {}  # of the latest update
        self._host_batch: HostBatch = {}

    def run(
        self,
        batches: Batches,
        log: MetricLog,
        stop: StopRequest,
        progress: TrainingProgress,
        after_evaluation: AfterEvaluation,
    ) -> int:
        """Trains to the end, or until somebody wishes to stop; saved are both.

        Args:
          batches: from the step at which the run continues.
          log: of the metrics.
          stop: the wish to stop.
          progress: for who watches.
          after_evaluation: see `train`.

        Returns:
          The last step.
        """
        if self._first_step == self._total_steps or self._ends_early():
            self.is_finished = True
            return self._first_step
        for step in range(self._first_step + 1, self._total_steps + 1):
            batch = self._next_batch(batches, step)
            if step == 1:
                self._draw_first_batch(batch)
            self._begin_stage(step)
            self._update(step, batch)
            progress.step(step)
            due = self._due(step, stop)
            if due.log:
                self._log(step, batches, log, progress)
            if due.evaluation:
                self._evaluate(step, log, progress)
            self.is_finished = due.end or (due.evaluation and self._ends_early())
            if due.evaluation:
                self._save(step, self._scores[-1])
                after_evaluation(step, self.results)
            elif due.stop:
                self._save(step, None)
            if due.stop or self.is_finished:
                return step
        return self._total_steps

    def _begin_stage(self, step: int) -> None:
        """Says which stage begins, or is resumed; its first step compiles."""
        stage = stage_at(self._stages, step - 1)
        first, task = self._stages[stage]
        if len(self._stages) > 1 and step - 1 in (first, self._first_step):
            self._throughput.restart()
            console.print(
                f"Stage {stage + 1} of {len(self._stages)} from step {first}: "
                f"{task.summary}.",
                markup=False,
            )

    def evaluate_first(
        self,
        log: MetricLog,
        progress: TrainingProgress,
        after_evaluation: AfterEvaluation,
    ) -> None:
        """Evaluates the checkpoint that the run resumes from; see `run`.

        It stays one without a score, which is never the best.
        """
        self._evaluate(self._first_step, log, progress)
        after_evaluation(self._first_step, self.results)

    def _restored(self, create: jax.stages.Wrapped) -> TrainState:
        """The state of the latest checkpoint."""
        variables = jax.eval_shape(self._task.init_variables, jax.random.key(0))
        shapes = jax.eval_shape(create, variables)
        abstract_state = abstract_like(shapes, sharding.replicated(self._mesh))
        state = self._checkpoints.restore(abstract_state)
        console.print(f"Resuming at step {self._first_step} of {self._total_steps}.")
        return state

    def _created(self, create: jax.stages.Wrapped, rng: jax.Array) -> TrainState:
        """The state before the first step."""
        fresh = self._task.init_variables(rng)
        return create(self._task.with_pretrained(jax.device_get(fresh)))

    def _due(self, step: int, stop: StopRequest) -> _Due:
        """What follows the update of this step."""
        end = step == self._total_steps
        epoch = self._task.train_size / self._config.batch_size
        evaluation = end or _period_ends(
            step, self._config.evaluate_every_epochs * epoch
        )
        stops = stop.reached(step) and not end
        log = step % self._config.log_every_steps == 0 or evaluation or stops
        return _Due(evaluation=evaluation, end=end, stop=stops, log=log)

    def _update(self, step: int, host_batch: HostBatch) -> None:
        """Trains on a batch."""
        self._host_batch = host_batch
        with self._throughput.waiting("transfer"):
            batch = sharding.to_devices(self._mesh, host_batch)
        before = self._metrics
        with jax.profiler.StepTraceAnnotation("train", step_num=step):
            train_step = self._train_steps[stage_at(self._stages, step - 1)]
            self._state, self._metrics = train_step(
                self._state, batch, self._rng, self._teacher_variables
            )
        # The host is one step ahead, not more: batches in flight take memory.
        jax.block_until_ready(before)
        if step == self._first_step + 2:  # the first one has compiled and ended
            host_memory.give_back()
        self._throughput.count_step()

    def _next_batch(self, batches: Batches, step: int) -> HostBatch:
        """The batch of this step; without one, what was trained before it is saved."""
        try:
            with self._throughput.waiting("batch"):
                return next(batches)
        except BrokenImage:
            self._save_before_the_end(step - 1)
            raise

    def _log(
        self, step: int, batches: Batches, log: MetricLog, progress: TrainingProgress
    ) -> None:
        """Logs the metrics of the update, the throughput, and images passed over."""
        metrics = {name: float(value) for name, value in self._metrics.items()}
        if metrics.pop(SKIPPED, False):
            metrics = {k: v for k, v in metrics.items() if math.isfinite(v)}
        else:
            _refuse_divergence(metrics, step, self._cause)
        logged = metrics | self._throughput.rate()
        if self._config.dataset.max_bad_images:
            logged["bad_images"] = batches.bad_images
        log.write(step, {f"train/{name}": value for name, value in logged.items()})
        progress.log(step, logged)
        self._tell_of_input(logged, batches)

    def _tell_of_input(self, logged: Mapping[str, float], batches: Batches) -> None:
        """Says once why the steps wait for input, if it is a notable part of them."""
        wait = self._throughput.whole_wait()
        is_known = self._throughput.steps_read >= FEWEST_STEPS
        if self._told_of_input or not is_known or wait <= NOTABLE:
            return
        if "images_per_second" not in logged:  # no step was timed since the last log
            return
        self._told_of_input = True
        step = self._config.batch_size / logged["images_per_second"]
        console.print(slow_input(wait, step, batches.loading_seconds))

    def _evaluate(self, step: int, log: MetricLog, progress: TrainingProgress) -> None:
        """Evaluates the raw and the averaged weights on every set; logs the results."""
        state = self._state
        weights = {"raw": state.variables(ema=False), "ema": state.variables(ema=True)}
        try:
            with progress.evaluation(self._evaluator.batches) as on_batch:
                self.results = self._evaluator.evaluate(weights, on_batch)
        except BrokenImage:
            self._save_before_the_end(step, lacks_evaluation=True)
            raise
        named = {
            f"{set_name}/{name}/{metric}": value
            for set_name, of_set in self.results.items()
            for name, metrics in of_set.items()
            for metric, value in metrics.items()
        }
        _refuse_divergence(named, step, self._cause)
        # What there is nothing to find it of, such as a class without images, is nan.
        log.write(step, {k: v for k, v in named.items() if math.isfinite(v)})
        progress.log_evaluation(step, self.results)
        self._throughput.restart()
        self._scores.append(self._best.score(self.results))

    def _cause(self) -> str:
        """Why the training diverges, and what to do, as the latest batch shows."""
        batch = sharding.to_devices(self._mesh, self._host_batch)
        variants = self._task.variants(jax.random.key(0))
        one_pass = batch | jax.tree.map(lambda x: x[0], variants)
        inputs = jax.tree.leaves(self._task.inputs(one_pass))
        if all(jnp.isfinite(x).all() for x in inputs):
            return (
                "the training diverged. Lower optimizer.learning_rate or lengthen "
                "schedule.warmup_epochs"
            )
        given = self._config.preprocessing
        return (
            "the inputs of the network are not finite. Correct preprocessing.mean, "
            f"which is {given.mean}, or preprocessing.std, which is {given.std}"
        )

    def _ends_early(self) -> bool:
        """Whether the evaluations have not improved for too long."""
        patience = self._config.early_stopping_evaluations
        return 0 < patience <= evaluations_since_best(self._scores)

    def draw(self) -> None:
        """Draws the pictures of a finished run."""
        with _drawing("the pictures", "All else of the run is saved."):
            with _complete(self._files.training_curves) as path:
                sets = self._task.eval_sizes
                draw_training_curves(self._files, path, self._task.headline, sets)
            variables = self._state.variables(ema=True)
            with _complete(self._files.predictions) as path:
                self._evaluator.draw_predictions(variables, path)

    def _draw_first_batch(self, batch: HostBatch) -> None:
        """Draws what a new run is trained on, before anything is computed."""
        if jax.process_index() == 0:
            with _drawing("the first batch", "The run continues."):
                with _complete(self._files.first_batch) as path:
                    self._task.draw_first_batch(batch, path)

    def _save_before_the_end(self, step: int, lacks_evaluation: bool = False) -> None:
        """Saves what was trained until here, since a broken image ends the run.

        Of several processes, one cannot save alone.
        """
        if jax.process_count() == 1 and step > (self._checkpoints.latest_step or 0):
            self._save(step, None, lacks_evaluation)
            console.print(f"Saved at step {step} of {self._total_steps}.")

    def _save(
        self, step: int, score: float | None, lacks_evaluation: bool = False
    ) -> None:
        """Saves a checkpoint in the background."""
        run = {
            "config": self._config.model_dump(mode="json"),
            "data_facts": self._task.data_facts,
            "description": self._task.description,
            "headline": self._task.headline,
            "finished": self.is_finished,
            "lacks_evaluation": lacks_evaluation,
        }
        self._checkpoints.save(step, self._state, run, score)


@contextlib.contextmanager
def _drawing(what: str, consequence: str) -> Iterator[None]:
    """Drawing that, if it fails, costs a warning and no run.

    Args:
      what: is drawn.
      consequence: a sentence on what the failure means for the run.
    """
    try:
        yield
    except Exception as error:  # of a font, a name, an image, the disk
        console.print(
            f"warning: {what} cannot be drawn: {type(error).__name__}: {error}. "
            f"{consequence}",
            markup=False,
            soft_wrap=True,
        )


@contextlib.contextmanager
def _complete(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A name to draw under: the picture has its own name when it is complete."""
    unfinished = path.with_name(f"unfinished_{path.name}")
    yield unfinished
    if unfinished.exists():  # the first process draws
        unfinished.replace(path)


def _period_ends(step: int, period: float) -> bool:
    """Whether a multiple of the period, which need not be whole, ends in this step."""
    return math.floor(step / period) > math.floor((step - 1) / period)


def _refuse_divergence(
    metrics: Mapping[str, float], step: int, cause: Callable[[], str]
) -> None:
    """Raises UserError if a loss or the gradient's norm is infinite or not a number.

    The norm shows an update that spoils the weights while the loss before it is
    still finite.

    Args:
      metrics: by their names.
      step: of which they are.
      cause: finds out why, and what to do.
    """
    for name, value in metrics.items():
        diverges = name.rpartition("/")[2] in ("loss", "gradient_norm")
        if diverges and not math.isfinite(value):
            raise UserError(
                f"The {name} is {value} at step {step}: {cause()}, and use a new "
                "--workdir; the checkpoints so far are kept."
            )
