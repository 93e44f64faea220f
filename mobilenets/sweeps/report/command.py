"""What `mobilenets report` does: reads a sweep, measures its networks, writes."""

import pathlib
from collections.abc import Callable

from mobilenets.errors import UserError
from mobilenets.profiling import latency
from mobilenets.sweeps import results
from mobilenets.sweeps.report import latencies, page
from mobilenets.sweeps.results import Reader


def make(path: str, tell: Callable[[str], None]) -> pathlib.Path:
    """Writes the report of a sweep; its page.

    Everything is read from the folder. The config file that it names is not run: the
    folder may be from somebody else.

    Args:
      path: the sweep's folder.
      tell: is given a line for each stage of the work.

    Raises:
      UserError: the folder holds no sweep, one of its files is damaged, or it is of an
        earlier version, which left out what the report needs.
    """
    files = results.open_folder(path)
    try:  # before minutes of measuring
        files.report.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot write to {path}: {error.strerror}.") from None
    reader = Reader(files)
    found = reader.results()
    for result in found:
        if result.state == "finished" and reader.plan(result.number) is None:
            raise UserError(
                f"{path} was written by an earlier version, and {result.workdir} has "
                "no plan.json: run the same `mobilenets sweep` again, which writes it."
            )
    heading = page.of_sweep(files.sweep, found)
    plans = {r.number: reader.plan(r.number) for r in found if r.accuracy is not None}
    nets = {
        number: latency.Net(plan.spec, plan.num_classes)
        for number, plan in plans.items()
        if plan
    }
    seconds = latencies.of(nets, files.report / "latency.json", tell)
    page.write(heading, found, seconds, files.report)
    return files.report / "report.html"
