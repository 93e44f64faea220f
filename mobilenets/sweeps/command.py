"""What `mobilenets sweep` does: the plan, the workers' processes, the live table."""

import contextlib
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import rich.live
import rich.table

from mobilenets.errors import UserError
from mobilenets.networks import complexity
from mobilenets.runtime import tables
from mobilenets.sweeps import definition, queue, results
from mobilenets.sweeps.definition import Sweep
from mobilenets.sweeps.results import Reader, Result, Run, SweepFolder

SECONDS_BETWEEN_LOOKS = 1.0
BYTES = {"float32": 4, "bfloat16": 2}  # of a number
# For each parameter: itself, its average, its gradient, two of the optimizer.
NUMBERS_OF_A_PARAMETER = 5

# Several processes share an accelerator: none may take all of its memory in advance.
_VARIABLES = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


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
    maps = at_once * sum(layer.activations for layer in layers)
    numbers = NUMBERS_OF_A_PARAMETER * run.parameters
    return BYTES[run.config.dtype] * maps + BYTES["float32"] * numbers


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
        queue.open_storage(storage)
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
    processes: list[subprocess.Popen] = []
    sweep = files.sweep
    shown = _live_table(sweep, before=reader.results())
    with _forward_signals(processes) as stopped, shown as show:
        for number in range(workers):
            if stopped:
                break
            with _share_of_cores(number, workers) as variables:
                processes.append(_start_worker(files, url, number, variables))
        while any(process.poll() is None for process in processes):
            show(reader.results())
            time.sleep(SECONDS_BETWEEN_LOOKS)
        found = reader.results()
        show(found)
    left = _left(found, sweep)
    if stopped:
        print(
            f"Stopped and saved; {_points(left)} left. Run the same command to resume."
        )
        sys.exit(128 + stopped[-1])
    if left:
        ends = dict.fromkeys(_end(p.returncode) for p in processes if p.returncode)
        died = f", as workers have died ({', '.join(ends)})" if ends else ""
        raise UserError(
            f"{_points(left)} left{died}: see {files.workers} for the reason. Run the "
            "same command to resume."
        )


def _end(returncode: int) -> str:
    """How a process has ended that should not have.

    >>> _end(-9), _end(1)
    ('killed by SIGKILL', 'exit code 1')
    """
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


@contextlib.contextmanager
def _share_of_cores(number: int, workers: int) -> Iterator[dict[str, str]]:
    """Processes started within have their own cores, where the system can bind them.

    Side by side on all cores, threads of one wait for threads of the other at every
    operation. Yields the variables with which XLA still divides its work among as many
    threads as there are cores: the results of a point then are those of `train.py`, to
    the bit.
    """
    try:
        cores = os.sched_getaffinity(0)
        own = sorted(cores)[number % len(cores) :: workers]
        os.sched_setaffinity(0, own)
    except (AttributeError, OSError):  # no Linux, or not allowed
        yield {}
        return
    try:
        yield {"NPROC": str(len(cores))}
    finally:
        os.sched_setaffinity(0, cores)


def _start_worker(
    files: SweepFolder, url: str, number: int, variables: Mapping[str, str]
) -> subprocess.Popen:
    """A process of its own session, so that Ctrl-C reaches it through us, once."""
    files.workers.mkdir(exist_ok=True)
    worker = [sys.executable, "-m", "mobilenets.sweeps.worker"]
    command = [*worker, str(files.path), url, str(os.getpid())]
    log_name = f"{platform.node()}-{os.getpid()}-{number}.log"
    with (files.workers / log_name).open("a") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**_VARIABLES, **variables, **os.environ},
            start_new_session=True,
        )


@contextlib.contextmanager
def _forward_signals(
    processes: Sequence[subprocess.Popen],
) -> Iterator[list[signal.Signals]]:
    """Passes Ctrl-C and SIGTERM on to the workers; yields a list of what came.

    A terminal that is closed counts as SIGTERM.
    """
    came: list[signal.Signals] = []

    def forward(number: int, _: object) -> None:
        came.append(signal.Signals(number))
        with contextlib.suppress(OSError):  # of a terminal that is gone
            os.write(2, b"\nThe workers stop after this step and save.\n")
        for process in processes:
            hang_up = number == signal.SIGHUP
            process.send_signal(signal.SIGTERM if hang_up else number)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, forward) for number in signals}
    try:
        yield came
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for process in processes:  # of a table that has failed, say
            process.terminate()


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
