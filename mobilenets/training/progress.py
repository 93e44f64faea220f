"""What a person sees of a training: a progress bar, lines and the tables at the end."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import rich.progress
import rich.table

from mobilenets.evaluation.evaluator import Results
from mobilenets.evaluation.tables import number, print_results, title
from mobilenets.runs.workdir import Workdir
from mobilenets.runtime.console import console, shows_bars


class TrainingProgress:
    """A progress bar on a terminal; lines of text where the output is a file.

    Args:
      total_steps: of the whole run.
      first_step: where it continues.
    """

    def __init__(self, total_steps: int, first_step: int):
        self._total_steps = total_steps
        self._steps_before = first_step
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=30),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("{task.fields[numbers]}"),
            rich.progress.TextColumn("{task.fields[left]}"),
            console=console,
            disable=not shows_bars(),
        )
        self._task = self._bar.add_task(
            "compiling", total=total_steps, completed=first_step, numbers="", left=""
        )

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        if not shows_bars():
            console.print("Compiling the training step.")
        return self

    def __exit__(self, *_) -> None:
        self._bar.stop()

    def step(self, step: int) -> None:
        """Moves the bar. The time left counts everything since the first step's end."""
        if step == self._steps_before + 1:
            self._start = time.perf_counter()
        self._bar.update(self._task, completed=step, left=self._left(step))

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Shows the loss, the throughput and the part of the time without input."""
        # Of a step that is skipped, the loss may not be a number.
        numbers = f"loss {metrics.get('loss', math.nan):.4f}"
        if "images_per_second" in metrics:
            numbers += f"  {metrics['images_per_second']:,.0f} images/s"
            numbers += f"  {metrics['input_wait']:.0%} waiting for input"
        self._bar.update(self._task, description="training", numbers=numbers)
        if not shows_bars():
            left = self._left(step)
            console.print(f"step {step}/{self._total_steps}  {numbers}  {left}")

    @contextlib.contextmanager
    def evaluation(self, batches: int) -> Iterator[Callable[[], None]]:
        """Shows a second bar; yields the function that moves it by one batch."""
        task = self._bar.add_task("evaluating", total=batches, numbers="", left="")
        yield lambda: self._bar.advance(task)
        self._bar.remove_task(task)

    def log_evaluation(self, step: int, results: Results) -> None:
        """Prints the first two results in a line for each evaluation set."""
        for set_name, of_set in results.items():
            numbers = "  ".join(
                f"{weights}: {number(name, metrics[name])} {title(name)}"
                for weights, metrics in of_set.items()
                for name in [n for n in metrics if n not in ("loss", "count")][:2]
            )
            prefix = f"{set_name}  " if len(results) > 1 else ""
            console.print(f"step {step}/{self._total_steps}  {prefix}{numbers}")

    def _left(self, step: int) -> str:
        done = step - self._steps_before - 1
        if done < 1:
            return ""
        seconds = (time.perf_counter() - self._start) / done
        minutes, seconds = divmod(round(seconds * (self._total_steps - step)), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02} left"


def report(
    heading: str, results: Results, best_step: int | None, files: Workdir
) -> None:
    """Prints the results of a finished run and where everything is."""
    print_results(heading, results)
    table = rich.table.Table(show_header=False, box=None)
    table.add_row("pictures", str(files.training_curves))
    table.add_row("", str(files.predictions))
    table.add_row("metrics", str(files.metrics))
    table.add_row("TensorBoard", f"tensorboard --logdir {files.tensorboard}")
    table.add_row("checkpoints", f"{files.checkpoints} (best: step {best_step})")
    table.add_row("config", str(files.config))
    console.print(table)
