"""What a person sees of a run: a progress bar, messages and the table at the end."""

import contextlib
import time
from collections.abc import Callable, Iterator

import rich.console
import rich.progress
import rich.table

from mobilenets.runs.workdir import Workdir

console = rich.console.Console(highlight=False, soft_wrap=True)

Results = dict[str, dict[str, float]]  # metrics by the name of the weights


class TrainingProgress:
    """A progress bar on a terminal; lines of text where the output is a file.

    Args:
      total_steps: of the whole run.
      first_step: where it goes on.
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
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(
            "compiling", total=total_steps, completed=first_step, numbers="", left=""
        )

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        self._bar.stop()

    def step(self, step: int) -> None:
        """Moves the bar. The time left counts everything since the first step's end."""
        if step == self._steps_before + 1:
            self._start = time.perf_counter()
        self._bar.update(self._task, completed=step, left=self._left(step))

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Shows the loss and the throughput."""
        numbers = f"loss {metrics['loss']:.4f}"
        if "images_per_second" in metrics:
            numbers += f"  {metrics['images_per_second']:,.0f} images/s"
        self._bar.update(self._task, description="training", numbers=numbers)
        if not console.is_terminal:
            left = self._left(step)
            console.print(f"step {step}/{self._total_steps}  {numbers}  {left}")

    @contextlib.contextmanager
    def evaluation(self, batches: int) -> Iterator[Callable[[], None]]:
        """Shows a second bar; yields the function that moves it by one batch."""
        task = self._bar.add_task("evaluating", total=batches, numbers="", left="")
        yield lambda: self._bar.advance(task)
        self._bar.remove_task(task)

    def log_evaluation(self, step: int, results: Results) -> None:
        """Prints the results in a line."""
        numbers = "  ".join(
            f"{weights}: {_number(name, value)} {title(name)}"
            for weights, metrics in results.items()
            for name, value in metrics.items()
            if name not in ("loss", "count")
        )
        console.print(f"step {step}/{self._total_steps}  {numbers}")

    def _left(self, step: int) -> str:
        done = step - self._steps_before - 1
        if done < 1:
            return ""
        seconds = (time.perf_counter() - self._start) / done
        minutes, seconds = divmod(round(seconds * (self._total_steps - step)), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02} left"


@contextlib.contextmanager
def evaluation_bar(batches: int) -> Iterator[Callable[[], None]]:
    """A bar for an evaluation alone; yields the function that moves it by one batch."""
    with rich.progress.Progress(
        console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task("evaluating", total=batches)
        yield lambda: bar.advance(task)


def print_results(heading: str, results: Results) -> None:
    """Prints a table: a row for each set of weights, a column for each metric."""
    table = rich.table.Table(title=heading, title_justify="left")
    table.add_column("weights")
    for name in next(iter(results.values())):
        table.add_column(title(name), justify="right")
    for weights, metrics in results.items():
        table.add_row(weights, *(_number(k, v) for k, v in metrics.items()))
    console.print(table)


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


def title(name: str) -> str:
    """A metric's name as people write it."""
    return {"top1": "top-1", "top5": "top-5", "count": "images counted"}.get(name, name)


def _number(name: str, value: float) -> str:
    """Counts whole, losses as they are, everything else in percent."""
    if name == "count":
        return f"{value:,.0f}"
    return f"{value:.4f}" if name == "loss" else f"{value:.2%}"
