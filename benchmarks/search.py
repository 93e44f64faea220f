"""A search alone: a step of the supernet, and how fast candidates are evaluated.

python -m benchmarks.search --help
"""

import dataclasses
import datetime
import json
import os
import pathlib
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import numpy as np
import typer

from benchmarks import settings
from mobilenets.cli import command_line
from mobilenets.cli.command_line import tell
from mobilenets.networks import complexity
from mobilenets.networks.search_space import Genes
from mobilenets.profiling import latency, memory_profile
from mobilenets.runtime import sharding, start_up, tables
from mobilenets.search import definition, exploration, folder
from mobilenets.search.candidates import Candidates, Images
from mobilenets.search.command import task_of
from mobilenets.search.definition import Search
from mobilenets.search.folder import Evaluated
from mobilenets.search.jobs import Jobs
from mobilenets.search.latency_table import device_name
from mobilenets.tasks.supernet import Supernet
from mobilenets.training.loop import jitted_functions

MOGAS = 70, 8400  # a generation's candidates, and all


@dataclasses.dataclass(frozen=True)
class Found:
    """What was measured. CPU seconds are those of all threads.

    Args:
      step_seconds: of each step of the supernet, after the first.
      step_cpu_seconds: a step, on average.
      step_bytes: XLA's plan of the step's memory: arguments and temporaries.
      warm_up_seconds: until all pieces are compiled, or read from the cache.
      candidates: that were evaluated.
      seconds: for all of them, Optuna's queue included.
      cpu_seconds: for all of them.
      computed: pieces of candidates that were computed.
      asked_for: pieces of all candidates, with those that were kept.
      peak_bytes: the most memory that the process had, with both parts.
    """

    step_seconds: list[float]
    step_cpu_seconds: float
    step_bytes: int
    warm_up_seconds: float
    candidates: int
    seconds: float
    cpu_seconds: float
    computed: int
    asked_for: int
    peak_bytes: int


def search(
    config: Annotated[
        str, typer.Option(metavar="FILE", help="A search file, or search/NAME.")
    ] = "search/quickstart",
    candidates: Annotated[
        int, typer.Option(min=2, help="Evaluated, in generations of 70.")
    ] = MOGAS[1],
    steps: Annotated[int, typer.Option(min=1, help="Of the supernet.")] = 5,
    output: settings.Output = settings.DEFAULT_OUTPUT,
) -> None:
    """Measure a step of a search's supernet, and the evaluation of its candidates.

    The weights are random, which takes as long. Candidates evolve by their accuracy,
    parameters and MAdds, in place of a latency, so that they share as much as in a
    search. Images and calibration are the search's, and so is the queue. Fewer
    candidates than 8,400 are extrapolated: later generations share more, so that is an
    upper bound.
    """
    start_up.prepare_jax()
    load = os.getloadavg()[0]
    given = definition.load(config)
    task = task_of(given)
    found = measure(given, task, candidates, steps)
    print(f"{task.spec.name} on {device_name()}, {os.cpu_count()} cores")
    print(f"load average at the start {load:.1f}")
    table = tables.new("", ">")
    for row in rows(found):
        table.add_row(*row)
    tables.show(table)
    now = datetime.datetime.now().astimezone()
    path = output / f"search_{now:%Y%m%d_%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {"date": now.isoformat(), "load": load, "config": config}
    path.write_text(json.dumps(facts | dataclasses.asdict(found), indent=1))
    print(f"All measurements are in {path}.")


def rows(found: Found) -> list[tuple[str, str]]:
    """What was found, in words."""
    each, cpu_each = (s / found.candidates for s in (found.seconds, found.cpu_seconds))
    kept = 1 - found.computed / found.asked_for
    step = statistics.median(found.step_seconds)
    return [
        ("step of the supernet", f"{1e3 * step:,.0f} ms"),
        ("a step, CPU time", f"{found.step_cpu_seconds:.2f} s"),
        ("a step, memory as planned by XLA", f"{found.step_bytes / 1e6:,.0f} MB"),
        ("compiling the pieces, or reading them", f"{found.warm_up_seconds:.0f} s"),
        ("candidates", f"{found.candidates:,}"),
        ("candidates per second", f"{1 / each:.1f}"),
        ("candidates per CPU second", f"{1 / cpu_each:.1f}"),
        ("pieces that were shared", f"{kept:.0%}"),
        (f"{MOGAS[1]:,} candidates", f"{MOGAS[1] * each / 60:.1f} min"),
        (f"{MOGAS[1]:,} candidates, CPU time", f"{MOGAS[1] * cpu_each / 60:.1f} min"),
        ("peak memory of the process", f"{found.peak_bytes / 1e6:,.0f} MB"),
    ]


def measure(given: Search, task: Supernet, candidates: int, steps: int) -> Found:
    """Both parts, see `Found`."""
    tell("compiling a step of the supernet")
    step_seconds, step_cpu, step_bytes = time_steps(task, steps)
    made = make_candidates(given, task)
    start = time.perf_counter()
    made.warm_up(tell)
    warm_up = time.perf_counter() - start
    made.pieces_computed = made.pieces_asked_for = 0
    population = min(MOGAS[0], candidates)
    evolving = Search(
        supernet=given.supernet,
        objectives={"accuracy": 1.0, "madds": -1.0, "parameters": 1.0},
        population=population,
        generations=-(-candidates // population),
        random_search=False,
    )
    start, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as name:
        evaluated = evolve(evolving, task, made, pathlib.Path(name) / "search")
    return Found(
        step_seconds,
        step_cpu,
        step_bytes,
        warm_up,
        evaluated,
        time.perf_counter() - start,
        time.process_time() - cpu,
        made.pieces_computed,
        made.pieces_asked_for,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def evolve(search: Search, task: Supernet, made: Candidates, path: pathlib.Path) -> int:
    """Evolves candidates as a search does; how many."""
    space, classes = task.spec, len(task.class_names)

    def evaluate(genes: Genes) -> Evaluated:
        network = space.network(genes)
        madds = complexity.madds(network, classes)
        return Evaluated(
            genes,
            made.score(genes).accuracy,
            latency=madds / 1e6,
            parameters=complexity.params(network, classes),
            madds=madds,
            activations=complexity.activations(network, classes),
        )

    files = folder.claim(str(path), search, task.config)
    jobs = Jobs(files, files.storage_url, evaluate)
    explored = exploration.explore(search, space.counts, jobs.evaluate, tell)
    return len(explored.evolved)


def make_candidates(given: Search, task: Supernet) -> Candidates:
    """Those of a search, with random weights."""
    calibration = task.images_to_calibrate(given.calibration_images)
    return Candidates(
        task.spec,
        jax.device_get(task.init_variables(jax.random.key(0))),
        len(task.class_names),
        task.config.preprocessing,
        Images(calibration, *task.images_to_rank()),
    )


def time_steps(task: Supernet, steps: int) -> tuple[Sequence[float], float, int]:
    """The seconds of each step, CPU seconds of one, and the bytes of XLA's plan."""
    batch = task.config.batch_size
    create, update = jitted_functions(task, sharding.data_mesh(batch))
    state, rng = create(task.init_variables(jax.random.key(0))), jax.random.key(0)
    shapes = memory_profile.batch_shapes(batch, task.spec.resolution)
    images = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    teacher = task.teacher_variables
    compiled = update.lower(state, images, rng, teacher).compile()
    plan = compiled.memory_analysis()

    def step() -> None:
        nonlocal state
        state, metrics = compiled(state, images, rng, teacher)
        jax.block_until_ready(metrics)

    step()
    cpu = time.process_time()
    seconds = [latency.durations(step, 0)[0] for _ in range(steps)]
    cpu = time.process_time() - cpu
    bytes_ = plan.argument_size_in_bytes + plan.temp_size_in_bytes if plan else 0
    return seconds, cpu / steps, bytes_


if __name__ == "__main__":
    settings.run(
        search,
        command_line.examples(
            "python -m benchmarks.search",
            "python -m benchmarks.search --candidates 700",
        ),
    )
