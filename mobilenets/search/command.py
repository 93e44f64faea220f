"""What `mobilenets search` does: supernet, latency table, evolution, report."""

import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import cast

import jax
import numpy as np

from mobilenets.errors import UserError
from mobilenets.inference import trained
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks import complexity
from mobilenets.networks.search_space import Genes, SearchSpace
from mobilenets.nn.supernet import extract
from mobilenets.runtime import tables
from mobilenets.runtime.console import console
from mobilenets.search import definition, evolution, folder, latency_table, page, pareto
from mobilenets.search.candidates import Candidates, Images
from mobilenets.search.definition import Search
from mobilenets.search.folder import Evaluated, SearchFolder
from mobilenets.search.latency_table import Table
from mobilenets.search.reward import reward
from mobilenets.tasks.registry import make_task
from mobilenets.tasks.supernet import Supernet
from mobilenets.training import loop

Tell = Callable[[str], None]


def print_plan(search: Search, table_file: str | None) -> None:
    """Prints what would be searched, and what the latency table lacks.

    Raises:
      UserError: the search cannot be run, or the table cannot be read.
    """
    task = _task(search)
    space, classes = task.spec, len(task.class_names)
    _check_budget(search, space)
    table = tables.new("", ">parameters", ">MAdds (M)")
    least, most = space.extremes(lambda layer: layer.madds)
    for name, genes in (("smallest", least), ("largest", most)):
        network = space.network(genes)
        table.add_row(
            f"{name} network",
            f"{complexity.params(network, classes):,}",
            tables.millions(complexity.madds(network, classes)),
        )
    table.add_row("supernet", f"{complexity.params(space, classes):,}", "")
    config = task.config
    passes = len(task.variants(jax.random.key(0))["path"])
    random = ", and as many at random" if search.random_search else ""
    pieces = latency_table.pieces_of(space, classes)
    tables.show(
        f"{space.name}: {space.size:,} networks at {space.resolution} pixels", table
    )
    print(
        f"Supernet: {config.total_steps(task.train_size):,} steps of "
        f"{passes} networks each, batches of {config.batch_size}.\n"
        f"Evolution: {search.generations} generations of {search.population}, "
        f"{search.budget:,} candidates{random}; ranked by {task.eval_sizes['val']:,} "
        f"images.\nPieces: {len(pieces)} programs, which are rows of a latency table."
    )
    if table_file:
        lacking = latency_table.read(pathlib.Path(table_file)).lacks(pieces)
        print(f"The latency table lacks {len(lacking)} of them.")
        for key in lacking:
            print(f"  {key}")


def run(search: Search, path: str, table_file: str | None, tell: Tell) -> None:
    """Searches, from where it was stopped.

    Args:
      search: what to do.
      path: the folder for all output.
      table_file: the latency table of another device; None to measure this one.
      tell: is given lines of progress.

    Raises:
      UserError: the search, the folder, the data or the table cannot be used.
      SystemExit: on Ctrl-C or SIGTERM.
    """
    config = definition.supernet_config(search)
    task = _task(search)
    space, classes = task.spec, len(task.class_names)
    _check_budget(search, space)
    with folder.held(path, search, config) as files:
        table = folder.use_table(files, table_file)
        pieces = latency_table.pieces_of(space, classes)
        if table:
            latency_table.refuse_lacking(table.lacks(pieces))
        loop.train(task, str(files.supernet))
        net = trained.load(str(files.supernet))
        checked = None
        if table is None:
            measured = latency_table.measure(pieces, tell=tell)
            latency_table.write(measured, measured.milliseconds, files.table)
            table = latency_table.read(files.table)
        if table.device == latency_table.device_name() and search.check_networks:
            checked = _check_table(files, table, space, classes, search, tell)
        evaluator = _Evaluator(search, task, net, table, files)
        history = evaluator.search(tell)
        random = _random(search, space, evaluator, tell) if search.random_search else []
        front = _front(search, history)
        _write_found(files, net, space, _at_latencies(front, search.found))
        text = page.render(search, space, table, history, random, front, checked)
        folder.write(files.report, text)
    console.print(
        f"Found {len(front)} networks of the front; {min(len(front), search.found)} are"
        f" in {files.found}, and the report is {files.report}.",
        markup=False,
        soft_wrap=True,
    )


def space_of(search: Search) -> tuple[SearchSpace, int]:
    """The space of a search, and the classes of its data set.

    Raises:
      UserError: the config or the data set cannot be used.
    """
    task = _task(search)
    return task.spec, len(task.class_names)


def _task(search: Search) -> Supernet:
    return cast(Supernet, make_task(definition.supernet_config(search)))


def _check_budget(search: Search, space: SearchSpace) -> None:
    if search.budget > space.size:
        raise UserError(
            f"The search evaluates {search.budget:,} networks, but the space has "
            f"{space.size:,}: lower population or generations."
        )


def _check_table(
    files: SearchFolder,
    table: Table,
    space: SearchSpace,
    classes: int,
    search: Search,
    tell: Tell,
) -> latency_table.Check:
    """Compares the table with whole networks, once."""
    file = files.path / "latency_check.json"
    if file.exists():
        values = json.loads(file.read_text())
        checked = latency_table.Check(**{k: tuple(v) for k, v in values.items()})
    else:
        checked = latency_table.check(
            table, space, classes, search.check_networks, tell
        )
        folder.write(file, json.dumps(dataclasses.asdict(checked)))
    console.print(describe(checked), markup=False, soft_wrap=True)
    return checked


def describe(checked: latency_table.Check) -> str:
    """What the comparison of a table with whole networks says."""
    warning = "warning: " if checked.error > latency_table.TOLERANCE else ""
    return (
        f"{warning}The latency table is off by {checked.error:.1%} on average of "
        f"{len(checked.measured)} whole networks; their ranks agree with tau "
        f"{checked.rank_correlation:.2f}."
    )


class _Evaluator:
    """Evaluates candidates, each once in the life of the search.

    Args:
      search: what to do.
      task: of the supernet.
      net: its weights.
      table: of latencies.
      files: where candidates are written down.
    """

    def __init__(
        self,
        search: Search,
        task: Supernet,
        net: TrainedNet,
        table: Table,
        files: SearchFolder,
    ):
        self._search, self._table, self._files = search, table, files
        self._space, self._classes = task.spec, len(task.class_names)
        self._known = files.candidates()
        self._make = lambda: Candidates(
            task.spec,
            net.variables,
            self._classes,
            task.config.preprocessing,
            Images(
                task.images_to_calibrate(search.calibration_images),
                *task.images_to_rank(),
            ),
        )
        self._candidates: Candidates | None = None

    def search(self, tell: Tell) -> list[Evaluated]:
        """The evolution; every candidate in the order of its evaluation."""
        search = self._search
        if search.reward:
            weights: tuple[float, ...] = (1.0,)
        else:
            weights = tuple(abs(w) for w in search.objectives.values())
        settings = evolution.Settings(
            search.population,
            search.generations,
            search.crossover,
            search.mutation,
            weights,
            search.seed,
        )
        seen: list[Evaluated] = []

        def evaluate(candidates: Sequence[Genes]) -> np.ndarray:
            found = self.evaluate(candidates)
            seen.extend(found)
            return np.array([values(search, one) for one in found])

        start = time.monotonic()
        generations = evolution.evolve(self._space.counts, evaluate, settings)
        for number, _ in enumerate(generations, 1):
            best = max(seen, key=lambda one: one.accuracy)
            tell(
                f"generation {number} of {search.generations}: {len(seen):,} candidates"
                f", the most accurate {best.accuracy:.1%}; "
                f"{time.monotonic() - start:.0f} s"
            )
        return seen

    def evaluate(self, candidates: Sequence[Genes]) -> list[Evaluated]:
        """Of each, in their order."""
        new = sorted(genes for genes in candidates if genes not in self._known)
        for genes in new:
            one = self._evaluate(genes)
            self._files.add(one)
            self._known[genes] = one
        return [self._known[genes] for genes in candidates]

    def _evaluate(self, genes: Genes) -> Evaluated:
        if self._candidates is None:  # a search that is finished needs none
            self._candidates = self._make()
        score = self._candidates.score(genes)
        network = self._space.network(genes)
        return Evaluated(
            genes,
            score.accuracy if math.isfinite(score.loss) else 0.0,
            self._table.latency(network, self._classes),
            complexity.params(network, self._classes),
            complexity.madds(network, self._classes),
        )


def values(search: Search, one: Evaluated) -> list[float]:
    """The objectives of a candidate, of which more is better."""
    if search.reward:
        of = search.reward
        return [reward(one.accuracy, one.latency, of.target, of.exponent)]
    return [
        math.copysign(getattr(one, name), weight)
        for name, weight in search.objectives.items()
    ]


def _random(
    search: Search, space: SearchSpace, evaluator: _Evaluator, tell: Tell
) -> list[Evaluated]:
    """As many candidates at random as the evolution has evaluated."""
    drawn = evolution.random_candidates(space.counts, search.budget, search.seed)
    found: list[Evaluated] = []
    for start in range(0, len(drawn), search.population):
        found += evaluator.evaluate(drawn[start : start + search.population])
        tell(f"random search: {len(found):,} of {search.budget:,} candidates")
    return found


def _front(search: Search, seen: Sequence[Evaluated]) -> list[Evaluated]:
    """What no other dominates in the objectives that count, the slowest first."""
    reached = -np.array([values(search, one) for one in seen])
    if not search.reward:
        reached = reached[:, [weight != 0 for weight in search.objectives.values()]]
    return sorted((seen[i] for i in pareto.best(reached)), key=lambda one: -one.latency)


def _at_latencies(front: Sequence[Evaluated], number: int) -> list[Evaluated]:
    """So many of a front, from the slowest to the fastest at equal distances."""
    places = np.linspace(0, len(front) - 1, min(number, len(front)))
    return [front[round(place)] for place in places]


def _write_found(
    files: SearchFolder, net: TrainedNet, space: SearchSpace, found: Sequence[Evaluated]
) -> None:
    """Writes each network as a spec, and its weights in the supernet."""
    files.found.mkdir(exist_ok=True)
    for number, one in enumerate(found):
        letter = chr(ord("a") + number) if len(found) <= 26 else f"{number:03}"
        network = space.network(one.genes, name=f"{space.name}_{letter}")
        spec = json.dumps(dataclasses.asdict(network), indent=2)
        folder.write(files.found / f"{letter}.json", spec)
        weights = files.found / letter
        if not weights.exists():
            description = net.description.model_copy(
                update={"task": "classification", "network": network}
            )
            variables = extract(space, net.variables, one.genes)
            trained.save(TrainedNet(description, variables), str(weights))
