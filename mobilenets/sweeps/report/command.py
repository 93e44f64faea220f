"""What `mobilenets report` does: reads a sweep, measures its networks, writes."""

import json
import pathlib
import platform
from collections.abc import Callable, Sequence

import jax

from mobilenets.errors import UserError
from mobilenets.profiling import latency
from mobilenets.sweeps import results
from mobilenets.sweeps.report import page
from mobilenets.sweeps.results import Reader, Result, SweepFolder


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
    page.write(heading, found, _latencies(files, reader, found, tell), files.report)
    return files.report / "report.html"


def _latencies(
    files: SweepFolder,
    reader: Reader,
    found: Sequence[Result],
    tell: Callable[[str], None],
) -> dict[int, float]:
    """Seconds of one image's inference by the number of the point.

    Kept in the folder for this kind of device; measured again, all in turn, when there
    is a network that is not among them.
    """
    runs = {r.number: reader.run(r.number) for r in found if r.accuracy is not None}
    nets = {
        number: latency.Net(run.spec, run.num_classes)
        for number, run in runs.items()
        if run
    }
    if not nets:
        return {}
    device = f"{platform.node()}, {jax.devices()[0].device_kind}"
    kept = files.report / "latency.json"
    if kept.exists():
        known = json.loads(kept.read_text())
        if known["device"] == device and set(map(str, nets)) <= known["seconds"].keys():
            return {number: known["seconds"][str(number)] for number in nets}
    # Points that differ in their training alone have one network.
    names = {net: str(number) for number, net in nets.items()}
    measured = latency.measure({name: net for net, name in names.items()}, tell=tell)
    seconds = {number: measured[names[net]].median for number, net in nets.items()}
    results.write(kept, json.dumps({"device": device, "seconds": seconds}, indent=1))
    return seconds
