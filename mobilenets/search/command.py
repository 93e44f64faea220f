"""What `mobilenets search` does: supernet, latency table, evolution, report."""

import contextlib
import dataclasses
import json
import os
import pathlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from mobilenets.errors import UserError
from mobilenets.inference import trained
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.search_space import Genes, SearchSpace
from mobilenets.nn.supernet import extract
from mobilenets.runs import workdir
from mobilenets.runtime.console import console
from mobilenets.search import definition, exploration, folder, latency_table, page
from mobilenets.search.definition import Search
from mobilenets.search.evaluator import Evaluator
from mobilenets.search.exploration import Evaluate, Explored
from mobilenets.search.folder import Evaluated, SearchFolder
from mobilenets.search.jobs import Jobs, wait_for
from mobilenets.search.latency_table import Check, Table
from mobilenets.tasks.registry import make_task
from mobilenets.tasks.supernet import Supernet
from mobilenets.training import loop
from mobilenets.workers import processes
from mobilenets.workers.queue import open_storage

Tell = Callable[[str], None]


def run(
    search: Search,
    path: str,
    table_file: str | None,
    tell: Tell,
    workers: int = 1,
    storage: str | None = None,
) -> None:
    """Searches, from where it was stopped.

    Args:
      search: what to do.
      path: the folder for all output; shared, if several machines work.
      table_file: the latency table of another device; None to measure this one.
      tell: is given lines of progress.
      workers: processes here that evaluate candidates. One is this process itself.
      storage: a database URL; None for a file in the folder.

    Raises:
      UserError: the search, the folder, the data, the table or the storage cannot be
        used.
      SystemExit: on Ctrl-C or SIGTERM.
    """
    if workers > 1:  # they share an accelerator with this process
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    task = task_of(search)
    space = task.spec
    check_budget(search, space)
    # A mistake is met before anything is begun.
    if storage:
        open_storage(storage)
    if table_file:
        given = latency_table.read(pathlib.Path(table_file))
        latency_table.refuse_lacking(given.lacks(_pieces(task)), table_file)
    files = folder.claim(path, search, task.config)
    if table := folder.use_table(files, table_file):
        latency_table.refuse_lacking(table.lacks(_pieces(task)), files.table)
    with files.alone("supernet", tell):
        loop.train(task, str(files.supernet))
    with files.alone("latency table", tell):
        # Another command may have measured one in the meantime.
        table = folder.use_table(files, table_file)
        table = table or _measured_table(files, task, tell)
        checked = _checked_table(files, table, task, tell)
    url = storage or files.storage_url
    with _evaluation(files, task, table, url, workers, tell) as evaluate:
        explored = exploration.explore(search, space.counts, evaluate, tell)
    if explored.diverged:
        tell(f"warning: the loss of {explored.diverged:,} candidates is not finite")
    with files.alone("report", tell):
        _conclude(files, task, table, explored, checked, tell)


def task_of(search: Search) -> Supernet:
    """The task of a search's supernet, with its space and its data.

    Raises:
      UserError: the config or the data set cannot be used.
    """
    return cast(Supernet, make_task(definition.supernet_config(search)))


def check_budget(search: Search, space: SearchSpace) -> None:
    """Raises UserError if the space has fewer networks than are to be evaluated."""
    if search.budget > space.size:
        raise UserError(
            f"The search evaluates {search.budget:,} networks, but the space has "
            f"{space.size:,}: lower population or generations."
        )


@contextlib.contextmanager
def _evaluation(
    files: SearchFolder, task: Supernet, table: Table, url: str, count: int, tell: Tell
) -> Iterator[Evaluate]:
    """How candidates are evaluated: by this process, or by so many others."""
    if count == 1:
        yield Jobs(files, url, Evaluator(files, task, table, tell)).evaluate
        return
    command = ["mobilenets.search.worker", str(files.path), url]
    tell(f"evaluating with {count} workers, whose output is in {files.workers}")
    with processes.started(command, count, files.workers) as workers:
        yield wait_for(files, workers)


def _pieces(task: Supernet) -> list[latency_table.PartSpec]:
    return latency_table.pieces_of(task.spec, len(task.class_names))


def _measured_table(files: SearchFolder, task: Supernet, tell: Tell) -> Table:
    """This machine's table."""
    measured = latency_table.measure(_pieces(task), tell=tell)
    latency_table.write(measured, measured.milliseconds, files.table)
    return latency_table.read(files.table)  # rounded, as when it resumes


def _checked_table(
    files: SearchFolder, table: Table, task: Supernet, tell: Tell
) -> Check | None:
    """The table against whole networks, measured once; None if it cannot be here."""
    file, number = files.latency_check, files.search.check_networks
    if file.exists():
        values = json.loads(file.read_text())
        checked = Check(**{key: tuple(value) for key, value in values.items()})
    elif number and table.device == latency_table.device_name():
        classes = len(task.class_names)
        checked = latency_table.check(table, task.spec, classes, number, tell)
        text = json.dumps(dataclasses.asdict(checked))
        workdir.replace_file(file, f"{text}\n")
    else:
        return None
    console.print(str(checked), markup=False, soft_wrap=True)
    return checked


def _conclude(
    files: SearchFolder,
    task: Supernet,
    table: Table,
    explored: Explored,
    checked: Check | None,
    tell: Tell,
) -> None:
    """Writes the networks that were found, and the page."""
    search, space = files.search, task.spec
    front = exploration.front(search, explored.evolved)
    found = exploration.most_accurate(front, search.found)
    net = trained.load(str(files.supernet))
    names = _write_found(files, net, space, found)
    measured = _measured_front(files, table, task, front, found, tell)
    text = page.render(search, space, table, explored, front, names, checked, measured)
    workdir.replace_file(files.report, text)
    console.print(
        f"Found {len(front)} networks of the front; {len(found)} are in {files.found}, "
        f"and the report is {files.report}.",
        markup=False,
        soft_wrap=True,
    )


def _write_found(
    files: SearchFolder, net: TrainedNet, space: SearchSpace, found: Sequence[Evaluated]
) -> dict[str, Evaluated]:
    """Writes each network as a spec, and its weights in the supernet.

    Returns:
      The networks by their names.
    """
    files.found.mkdir(exist_ok=True)
    names = {}
    for number, one in enumerate(found):
        letter = chr(ord("a") + number) if len(found) <= 26 else f"{number:03}"
        network = space.network(one.genes, name=f"{space.name}_{letter}")
        spec = json.dumps(dataclasses.asdict(network), indent=2)
        workdir.replace_file(files.found / f"{letter}.json", f"{spec}\n")
        weights = files.found / letter
        if not weights.exists():
            description = net.description.model_copy(
                update={"task": "classification", "network": network}
            )
            variables = extract(space, net.variables, one.genes)
            trained.save(TrainedNet(description, variables), str(weights))
        names[letter] = one
    return names


def _measured_front(
    files: SearchFolder,
    table: Table,
    task: Supernet,
    front: Sequence[Evaluated],
    found: Sequence[Evaluated],
    tell: Tell,
) -> dict[Genes, float]:
    """Milliseconds of whole networks of the front, measured once.

    All if there are no more than `check_networks`; else as many of them and all that
    were found. None where the table is another device's.
    """
    file, number = files.front_latencies, files.search.check_networks
    if file.exists():
        return {tuple(genes): time for genes, time in json.loads(file.read_text())}
    if not number or table.device != latency_table.device_name():
        return {}
    drawn = random.Random(0).sample(list(front), min(number, len(front)))
    genes = sorted({one.genes for one in (*drawn, *found)})
    specs = [task.spec.network(of_one) for of_one in genes]
    tell(f"measuring {len(genes)} networks of the front as a whole")
    times = latency_table.measure_whole(specs, len(task.class_names), tell)
    measured = dict(zip(genes, times, strict=True))
    workdir.replace_file(file, json.dumps(list(measured.items())) + "\n")
    return measured
