"""What `mobilenets sweep` does: the plan, the workers' processes, the live table."""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import rich.live
import rich.table

from mobilenets.errors import UserError
from mobilenets.networks import complexity
from mobilenets.profiling import memory_profile
from mobilenets.runtime import tables
from mobilenets.sweeps import definition, queue, results
from mobilenets.sweeps.definition import Sweep
from mobilenets.sweeps.results import Reader, Result, Run, SweepFolder
from mobilenets.workers import processes
from mobilenets.workers.queue import open_storage


def print_plan(sweep: Sweep) -> None:
    """Prints every point with its parameters, MAdds and estimated memory.

    Raises:
      UserError: a point cannot be run.
    """
    columns = (">point", *_varied(sweep), ">parameters", ">MAdds (M)", ">memory (MB)")
    table = tables.new(*columns)
    for number, values in enumerate(sweep.points):
        run = results.plan(sweep, values)
        table.add_row(
            str(number),
            *_shown(sweep, values),
            f"{run.parameters:,}",
            tables.millions(run.madds),
            tables.millions(estimated_memory(run)),
        )
    tables.show(f"{sweep.config}: {sweep.size} points", table)
    print(
        "The memory is an estimate for a training step on one device: the output of "
        "each convolution for the batch, and five numbers for each parameter. "
        "`mobilenets profile NAME --memory` prints XLA's own analysis."
    )
    if len(sweep.points) < sweep.size:
        print(f"The search chooses the other {sweep.size - len(sweep.points)} points.")


def estimated_memory(run: Run) -> int:
    """Bytes that a training step keeps, without compiling it; see `print_plan`."""
    layers = complexity.layers(run.spec, run.num_classes)
    at_once = run.config.batch_size // run.config.accumulation_steps
    dtype = run.config.dtype
    return memory_profile.estimated(layers, run.parameters, at_once, dtype)


def run(sweep: Sweep, path: str, workers: int, storage: str | None) -> None:
    """Runs what is left of a sweep, and shows how it goes.

    Args:
      sweep: what to run.
      path: the folder for everything it leaves; shared, if several machines work.
      workers: processes here.
      storage: a database URL; None for a file in the folder.

    Raises:
      UserError: the sweep, the folder or the storage cannot be used, or points are left
        without a result.
      SystemExit: on Ctrl-C or SIGTERM, after the workers have saved.
    """
    # A mistake is met before anything is begun.
    runs = {i: results.plan(sweep, values) for i, values in enumerate(sweep.points)}
    if "latency" in sweep.objectives and workers > 1:
        raise UserError(
            f"The sweep measures latency, which {workers} workers would disturb: use "
            "--workers 1."
        )
    if storage:
        open_storage(storage)
    files = results.claim(path, sweep, runs)
    url = storage or files.storage_url
    reader = Reader(files)
    if left := _left(reader.results(), sweep):
        print(
            f"Training {left} of {sweep.size} points. The output of the workers is in "
            f"{files.workers}.",
            flush=True,
        )
        queue.open_study(files, url)  # the queue is there before the first worker
        _work(files, url, workers, reader)
    _conclude(files, reader.results())


def _work(files: SweepFolder, url: str, workers: int, reader: Reader) -> None:
    """Starts the workers and waits for them.

    Raises:
      SystemExit: they were stopped by a signal.
      UserError: points are left, as workers have died.
    """
    sweep = files.sweep
    command = ["mobilenets.sweeps.worker", str(files.path), url]
    shown = _live_table(sweep, before=reader.results())
    with processes.started(command, workers, files.workers) as started, shown as show:
        started.wait(lambda: show(reader.results()))
    left = _left(reader.results(), sweep)
    if started.stopped:
        print(
            f"Stopped and saved; {_points(left)} left. Run the same command to resume."
        )
        sys.exit(128 + started.stopped)
    if left:
        died = f", as workers have died {started.deaths}" if started.deaths else ""
        raise UserError(
            f"{_points(left)} left{died}: see {files.workers} for the reason. Run the "
            "same command to resume."
        )


@contextlib.contextmanager
def _live_table(sweep: Sweep, before: Sequence[Result]) -> Iterator[Any]:
    """Yields a function that shows the results: a table, or lines into a file.

    Args:
      sweep: what is run.
      before: the results that are there already, which no line tells.
    """
    if not sys.stdout.isatty():
        yield _line_printer(before)
        return
    with rich.live.Live(auto_refresh=False, vertical_overflow="ellipsis") as live:
        yield lambda found: live.update(_table(sweep, found), refresh=True)


def _line_printer(before: Sequence[Result]) -> Any:
    """A function that prints a line for each point that has come to its end since."""
    told = {result.number for result in before if _has_ended(result)}

    def show(found: Sequence[Result]) -> None:
        for result in found:
            if not _has_ended(result) or result.number in told:
                continue
            told.add(result.number)
            words = definition.in_words(result.values)
            end = f": {result.error}" if result.error else f" {_percent(result)}"
            print(f"point {result.number}, {words}: {result.state}{end}", flush=True)

    return show


def _table(sweep: Sweep, found: Sequence[Result]) -> rich.table.Table:
    """What is done, what runs and what waits."""
    columns = (">point", *_varied(sweep), ">MAdds (M)", "state", ">accuracy")
    table = tables.new(*columns)
    table.title = f"{sum(map(_has_ended, found))} of {sweep.size} points"
    # A screen holds so many: what runs, then what has ended, then what waits.
    order = ("unfinished", "failed", "finished", "pruned", "waiting")
    for result in sorted(found, key=lambda r: (order.index(r.state), r.number)):
        table.add_row(
            str(result.number),
            *_shown(sweep, result.values),
            tables.millions(result.madds),
            _state(result),
            _percent(result),
        )
    return table


def _state(result: Result) -> str:
    if result.state != "unfinished":
        return result.state
    step = result.records[-1]["step"] if result.records else 0
    return f"step {step} of {result.total_steps}"


def _varied(sweep: Sweep) -> list[str]:
    """The columns of the values that differ: the last part of their keys."""
    names = definition.short_names(definition.varied_keys(sweep))
    return [f">{name}" for name in names.values()]


def _shown(sweep: Sweep, values: Mapping[str, Any]) -> list[str]:
    """The values of a point in these columns."""
    flat = definition.flatten(values)
    return [definition.text(flat.get(key)) for key in definition.varied_keys(sweep)]


def _left(found: Sequence[Result], sweep: Sweep) -> int:
    """Points that have not come to an end."""
    return sweep.size - sum(map(_has_ended, found))


def _has_ended(result: Result) -> bool:
    return result.state in ("finished", "pruned", "failed")


def _percent(result: Result) -> str:
    return "" if result.accuracy is None else f"{result.accuracy:.2%}"


def _points(count: int) -> str:
    """So many, and the verb.

    >>> _points(1), _points(2)
    ('1 point is', '2 points are')
    """
    return "1 point is" if count == 1 else f"{count} points are"


def _conclude(files: SweepFolder, found: Sequence[Result]) -> None:
    """Says how many points are done, and ends with an error if some have failed."""
    failed = [result for result in found if result.state == "failed"]
    which = "All" if not failed else f"{len(found) - len(failed)} of"
    print(f"{which} {len(found)} points are done: mobilenets report {files.path}")
    if failed:
        raise UserError(
            f"{len(failed)} of {len(found)} points failed, the first, point "
            f"{failed[0].number}, with: {failed[0].error} (To run it again, fix the "
            f"cause, delete the point's outcome.json in {files.path / 'points'} and "
            "run the same command.)"
        )
