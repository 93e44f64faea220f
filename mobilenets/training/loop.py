"""The training of any task. In every step the order is: update, log, evaluate, save."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from mobilenets.config.schema import Configuration
from mobilenets.errors import BrokenImage, UserError
from mobilenets.evaluation.evaluation import Evaluator
from mobilenets.runs import workdir
from mobilenets.runs.checkpoint import Checkpoints, abstract_like
from mobilenets.runs.metric_log import MetricLog, draw_training_curves
from mobilenets.runtime import host_memory, sharding
from mobilenets.runtime.progress import Results, TrainingProgress, console, report
from mobilenets.tasks.base import Metrics, Task
from mobilenets.training.interrupt import StopRequest
from mobilenets.training.optimizers import make_optimizer, make_schedule
from mobilenets.training.state import TrainState, create_state
from mobilenets.training.step import make_train_step


def train(
    task: Task,
    config: Configuration,
    directory: str,
    after_evaluation: Callable[[int, Results], None] = lambda step, results: None,
) -> None:
    """Trains until the last step, from the last checkpoint of the directory if any.

    Args:
      task: made from the configuration.
      config: what to train.
      directory: the workdir; everything the run leaves is in it.
      after_evaluation: is told the step and the results. What it raises ends the run,
        which goes on from that step if it is started again.

    Raises:
      UserError: the batch cannot be split over the devices, the directory belongs to
        another run, the data changed, an image is broken, or the training diverged.
      SystemExit: on Ctrl-C or SIGTERM, after saving; with several processes on SIGTERM
        only.
    """
    console.quiet = jax.process_index() != 0
    mesh = sharding.data_mesh(config.batch_size, config.accumulation_steps)
    if config.batch_size > task.train_size:
        raise UserError(
            f"batch_size {config.batch_size} is more than the {task.train_size} images "
            f"to train: use at most --config.batch_size={task.train_size}."
        )
    files = workdir.claim(directory, config)
    steps_per_epoch = task.train_size / config.batch_size
    total_steps = config.total_steps(task.train_size)
    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(files)))
        first_step = checkpoints.latest_step or 0
        if first_step:
            checkpoints.check_data(first_step, task.data_facts)
            checkpoints.check_description(first_step, task.description)
        if first_step >= total_steps:
            console.print(f"Nothing to do: the run in {files.path} is finished.")
            return
        init_rng, step_rng = jax.random.split(jax.random.key(config.seed))
        create, train_step = jitted_functions(
            task, config, mesh, steps_per_epoch, total_steps
        )
        batches = stack.enter_context(contextlib.closing(task.train_batches()))
        if first_step:
            variables = jax.eval_shape(task.init_variables, init_rng)
            shapes = jax.eval_shape(create, variables)
            abstract_state = abstract_like(shapes, sharding.replicated(mesh))
            state = checkpoints.restore(abstract_state, batches)
            console.print(f"Going on from step {first_step} of {total_steps}.")
        else:
            fresh = jax.jit(task.init_variables)(init_rng)
            state = create(task.with_pretrained(jax.device_get(fresh)))
            del fresh
        evaluator = Evaluator(task, mesh)
        log = stack.enter_context(contextlib.closing(MetricLog(files, first_step)))
        stop = stack.enter_context(StopRequest())
        progress = stack.enter_context(TrainingProgress(total_steps, first_step))

        throughput = _Throughput(config.batch_size)
        previous_metrics: Metrics = {}
        step, results = first_step, {}
        for step in range(first_step + 1, total_steps + 1):
            batch = sharding.to_devices(mesh, next(batches))
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                state, metrics = train_step(state, batch, step_rng)
            # The host is one step ahead, not more: batches in flight take memory.
            jax.block_until_ready(previous_metrics)
            if step == first_step + 2:  # the first one has compiled and ended
                host_memory.give_back()
            previous_metrics = metrics
            throughput.count_step()
            progress.step(step)

            last = step == total_steps
            stopping = stop.reached(step) and not last
            evaluating = last or _is_due(
                step, config.evaluate_every_epochs * steps_per_epoch
            )
            if step % config.log_every_steps == 0 or evaluating or stopping:
                logged = _finite(metrics, step) | throughput.rate()
                log.write(step, {f"train/{k}": v for k, v in logged.items()})
                progress.log(step, logged)
            score = None
            if evaluating:
                try:
                    results = _evaluate(evaluator, task, state, config, progress, step)
                except BrokenImage:  # the training until here is not lost
                    checkpoints.save(step, state, batches, config, task, None)
                    raise
                log.write_evaluation(step, results)
                progress.log_evaluation(step, results)
                score = results["ema"][task.headline]
                throughput.restart()
            if last:  # before the checkpoint that marks the run as finished
                draw_training_curves(files, task.headline)
                evaluator.draw_predictions(state.variables(ema=True), files.predictions)
            if evaluating or stopping:
                checkpoints.save(step, state, batches, config, task, score)
            if evaluating:
                after_evaluation(step, results)
            if stopping:
                break
        checkpoints.wait()
        best_step = checkpoints.best_step

    if step < total_steps:
        console.print(f"Stopped and saved at step {step} of {total_steps}.")
        console.print("The same command goes on from there.")
        sys.exit(stop.exit_code)
    report(f"Finished {total_steps} steps", results, best_step, files)
    if stop.signal_number is not None:  # too late for this run, not for what comes next
        sys.exit(stop.exit_code)


def jitted_functions(
    task: Task,
    config: Configuration,
    mesh: jax.sharding.Mesh,
    steps_per_epoch: float,
    total_steps: int,
) -> tuple[jax.stages.Wrapped, jax.stages.Wrapped]:
    """(variables) -> `TrainState`, and (state, batch, key) -> (new state, metrics).

    The update writes the new state in place of the old one.

    Args:
      task: made from the configuration.
      config: of the run.
      mesh: see `sharding.data_mesh`.
      steps_per_epoch: may be a fraction.
      total_steps: of the run.
    """
    schedule = make_schedule(
        config.schedule, config.optimizer.learning_rate, steps_per_epoch, total_steps
    )
    optimizer = make_optimizer(config.optimizer, schedule, task.relative_rates)
    everywhere = sharding.replicated(mesh)
    create = jax.jit(
        lambda variables: create_state(variables, optimizer), out_shardings=everywhere
    )
    update = jax.jit(
        make_train_step(task, optimizer, schedule, config),
        in_shardings=(everywhere, sharding.by_example(mesh), everywhere),
        out_shardings=everywhere,
        donate_argnums=0,
    )
    return create, update


def _is_due(step: int, period: float) -> bool:
    """Whether a multiple of the period, which need not be whole, ends in this step."""
    return math.floor(step / period) > math.floor((step - 1) / period)


def _finite(metrics: Mapping[str, Any], step: int) -> dict[str, float]:
    """The metrics on the host.

    Raises:
      UserError: one is infinite or not a number. That of the gradient tells of an
        update that spoils the weights while the loss before it is still finite.
    """
    values = {name: float(value) for name, value in metrics.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise UserError(
                f"The {name} is {value} at step {step}: the training diverged. Lower "
                "optimizer.learning_rate or lengthen schedule.warmup_epochs, and use a "
                "new --workdir; the checkpoints so far are kept."
            )
    return values


def _evaluate(
    evaluator: Evaluator,
    task: Task,
    state: TrainState,
    config: Configuration,
    progress: TrainingProgress,
    step: int,
) -> Results:
    """The metrics of the raw and of the averaged weights."""
    weights = {"raw": state.variables(ema=False), "ema": state.variables(ema=True)}
    batches = math.ceil(task.eval_size / config.batch_size)
    with progress.evaluation(batches) as on_batch:
        results = evaluator.evaluate(weights, on_batch)
    return {name: _finite(metrics, step) for name, metrics in results.items()}


class _Throughput:
    """Images a second since the last reading, without compilation and evaluation."""

    def __init__(self, batch_size: int):
        self._batch_size = batch_size
        self.restart()

    def restart(self) -> None:
        """The clock starts when the next step, which may compile, is done."""
        self._steps = -1

    def count_step(self) -> None:
        self._steps += 1
        if self._steps == 0:
            self._start = time.perf_counter()

    def rate(self) -> dict[str, float]:
        """{"images_per_second"}, or nothing if no step was timed."""
        if self._steps < 1:
            return {}
        seconds = time.perf_counter() - self._start
        rate = self._steps * self._batch_size / seconds
        self._steps, self._start = 0, time.perf_counter()
        return {"images_per_second": rate}
