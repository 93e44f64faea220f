"""The process of a side: `python -m benchmarks.sides SIDE THREADS`, by a driver.

A line of standard input is a request, a line of standard output its answer, both JSON.
The first line of output says which device and versions there are, or what is missing.
"""

import contextlib
import glob
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, TextIO

from benchmarks.sides import SIDES, Side
from benchmarks.workloads import TASKS

# The first compiles; those after it find allocators and profiles that have settled.
WARM_UP_CALLS = 3
MEMORY_CALLS = 3


def main(name: str, threads: int) -> None:
    """Answers requests until standard input ends."""
    answers = _private_stdout()
    _use_threads(threads)
    side = SIDES[name]
    try:
        versions = {p: importlib.import_module(p).__version__ for p in side.packages}
    except ModuleNotFoundError as error:
        _answer(answers, {"missing": error.name})
        return
    module = importlib.import_module(f"benchmarks.sides.{side.module}")
    _answer(answers, {"versions": versions, "device": module.start(side.variant)})
    step = _nothing
    for line in sys.stdin:
        request = json.loads(line)
        match request["do"]:
            case "build":
                step = _nothing  # frees what was built before
                step = _build(module, side, request["task"], request["workload"])
                for _ in range(WARM_UP_CALLS):
                    step()
                _answer(answers, {})
            case "measure":
                _answer(answers, {"seconds": durations(step, request["seconds"])})
            case "peak_memory":
                _answer(answers, {"bytes": peak_memory(module, step)})
            case "time_phases":
                module.use_cache(request["cache"])
                time_phases = _build(module, side, request["task"], request["workload"])
                _answer(answers, {"seconds": time_phases()})


def durations(step: Callable[[], Any], seconds: float) -> list[float]:
    """The seconds that each call takes, for at least so many seconds in all."""
    result: list[float] = []
    total = 0.0
    while total < seconds or not result:
        start = time.perf_counter()
        step()
        result.append(time.perf_counter() - start)
        total += result[-1]
    return result


def peak_memory(module: ModuleType, step: Callable[[], Any]) -> int | None:
    """The bytes that the process holds at most while it runs steps.

    On an accelerator those of the device. Of a process that has started others the
    bytes of all of them between two steps. None where none can be read: the mark of the
    highest use can be taken back on Linux alone.
    """
    on_accelerator = module.accelerator_peak(step)
    if on_accelerator is not None:
        return on_accelerator
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the highest use so far becomes the present one
    except OSError:
        return None
    together = 0
    for _ in range(MEMORY_CALLS):
        step()
        together = max(together, memory_with_children())
    if together:
        return together
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return 1024 * int(fields["VmHWM"].removesuffix("kB\n"))


def memory_with_children() -> int:
    """The bytes of this process and all that it started; 0 if it started none.

    What they share is counted once (Linux' "proportional set size").
    """
    processes = [os.getpid()]
    for process in processes:
        for path in glob.glob(f"/proc/{process}/task/*/children"):
            with contextlib.suppress(OSError), open(path) as file:  # it may have ended
                processes += map(int, file.read().split())
    total = 0
    for process in processes if len(processes) > 1 else ():
        with (
            contextlib.suppress(OSError),
            open(f"/proc/{process}/smaps_rollup") as file,
        ):
            fields = dict(
                line.split(":", 1) for line in file if line.startswith("Pss:")
            )
            total += 1024 * int(fields["Pss"].removesuffix("kB\n"))
    return total


def _build(
    module: ModuleType, side: Side, task: str, workload: dict[str, Any]
) -> Callable[[], Any]:
    return getattr(module, task)(side.variant, TASKS[task](**workload))


def _nothing() -> None:
    pass


def _use_threads(threads: int) -> None:
    """Restricts the process to so many cores, before a library counts them.

    All libraries here start a thread for each core that they may use; XLA has no other
    setting. The variable is for OpenMP in libraries that do not look.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _private_stdout() -> TextIO:
    """Standard output for the answers alone; what libraries print joins the errors."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
