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

    Args:
      path: the sweep's folder.
      tell: is given a line for each stage of the work.

    Raises:
      UserError: the folder holds no sweep, or its config file has changed.
    """
    files = results.open_folder(path)
    files.check_config()
    try:  # before minutes of measuring
        files.report.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot write to {path}: {error.strerror}.") from None
    reader = Reader(files)
    found = reader.results()
    heading = page.of_sweep(files.sweep, found)
    runs = {r.number: reader.run(r.number) for r in found if r.accuracy is not None}
    nets = {
        number: latency.Net(run.spec, run.num_classes)
        for number, run in runs.items()
        if run
    }
    seconds = latencies.of(nets, files.report / "latency.json", tell)
    page.write(heading, found, seconds, files.report)
    return files.report / "report.html"
