"""What a benchmark found: a table, a JSON file and a picture."""

import dataclasses
import datetime
import json
import os
import pathlib
import platform
import sys
from collections.abc import Sequence
from typing import Any

import rich.box
import rich.console
import rich.table

from benchmarks import picture
from benchmarks.driver import Session
from benchmarks.settings import Settings
from benchmarks.sides import OURS, SIDES
from benchmarks.summary import Row, fastest_call, number, ratio_text
from benchmarks.workloads import Copy, MatrixProduct
from mobilenets.errors import UserError

WIDTH_OF_A_PIPE = 200  # what is piped into a file has a line a row


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a result can be read against.

    Args:
      processor: its name.
      threads: that each side may use.
      device: what JAX computes on.
      load: processes that ran or waited in the minute before, on average.
      flops: operations per second of a float32 matrix product, by JAX on the device.
      copy_bytes: per second, read and written by a copy there. Both are None where our
        side cannot run.
    """

    processor: str
    threads: int
    device: str
    load: float
    flops: float | None
    copy_bytes: float | None


def measure_machine(settings: Settings) -> Machine:
    """Measures the limits, in a process of their own."""
    load = os.getloadavg()[0]
    if load > 0.5:
        settings.tell(
            f"the load average is {load:.1f}: what runs beside this spoils the results"
        )
    product, copy = MatrixProduct(), Copy()
    with Session([settings.contestant(OURS)]) as session:
        settings.tell("the machine's own limits")
        products = session.compare("matrix_product", product, 3, seconds=0.5)[OURS]
        copies = session.compare("copy", copy, 3, seconds=0.5)[OURS]
        device = session.devices.get(OURS, {"kind": "unknown"})["kind"]
    product_seconds, copy_seconds = fastest_call(products), fastest_call(copies)
    return Machine(
        processor=_processor(),
        threads=settings.threads,
        device=device,
        load=load,
        flops=product_seconds and product.operations / product_seconds,
        copy_bytes=copy_seconds and copy.bytes / copy_seconds,
    )


def publish(
    name: str,
    heading: str,
    settings: Settings,
    machine: Machine,
    session: Session,
    rows: Sequence[Row],
) -> None:
    """Prints the table, and writes it with every raw measurement, and the picture.

    Args:
      name: of the benchmark; its files are NAME_DATE_TIME.json and .png.
      heading: what was measured, in a line.
      settings: how.
      machine: on what.
      session: knows the versions and devices of the sides.
      rows: the results.

    Raises:
      UserError: our side failed; everything is printed and written before.
    """
    now = datetime.datetime.now().astimezone()
    date = f"{now:%Y-%m-%d %H:%M}"
    console = rich.console.Console(
        width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE,
        highlight=False,
        markup=False,
    )
    print(f"{heading}\n{date}: {settings.command}")
    print(in_words(machine))
    load = f"load average at the start {machine.load:.1f}"
    print("; ".join(filter(None, [load, _versions(session)])))
    for panel in dict.fromkeys(row.panel for row in rows):
        of_panel = [row for row in rows if row.panel == panel]
        console.print(f"\n{panel}", table(of_panel, session.devices))
    path = settings.output / f"{name}_{now:%Y%m%d_%H%M%S}"
    json_path, picture_path = path.with_suffix(".json"), path.with_suffix(".png")
    json_path.write_text(
        json.dumps(
            {
                "benchmark": name,
                "heading": heading,
                "date": now.isoformat(timespec="seconds"),
                "command": settings.command,
                "machine": dataclasses.asdict(machine),
                "versions": session.versions,
                "devices": session.devices,
                "results": [to_json(row) for row in rows],
            },
            indent=1,
        )
    )
    print(f"\nAll measurements are in {json_path}.")
    if any(row.ratio for row in rows if row.side != OURS):
        picture.draw(f"{heading}\n{in_words(machine)}, {date}", rows, picture_path)
        print(f"Drawn in {picture_path}.")
    for row in rows:
        if row.side == OURS and row.measurement.failure:
            raise UserError(f"{row.panel}, {row.case}: ours {row.measurement.failure}")


def in_words(machine: Machine) -> str:
    """The machine in a line.

    >>> in_words(Machine("A CPU", 2, "cpu", 0.1, 250e9, 14.7e9))
    'A CPU, 2 threads; JAX on cpu: matrix product 250 GFLOP/s, copy 14.7 GB/s'
    """
    return (
        f"{machine.processor}, {machine.threads} threads; JAX on {machine.device}: "
        f"matrix product {number(machine.flops, 1e-9)} GFLOP/s, "
        f"copy {number(machine.copy_bytes, 1e-9)} GB/s"
    )


def table(
    rows: Sequence[Row], devices: dict[str, dict[str, str]] | None = None
) -> rich.table.Table:
    """A line for each side in each case; columns that would be empty are left out.

    Args:
      rows: the results.
      devices: of the sides. A side on another platform than ours says so.
    """
    devices = devices or {}
    columns = {
        "": lambda row: row.case,
        "side": lambda row: SIDES[row.side].label + _elsewhere(row.side, devices),
        ">median, ms": lambda row: number(row.median, 1e3),
        ">min": lambda row: number(min(row.rounds, default=None), 1e3),
        ">max": lambda row: number(max(row.rounds, default=None), 1e3),
        ">images/s": lambda row: number(row.images_per_second),
        ">its time\n/ ours": lambda row: ratio_text(row.ratio),
        ">peak\nmemory, MB": lambda row: number(row.measurement.peak_bytes, 1e-6),
        ">its memory\n/ ours": lambda row: ratio_text(row.memory_ratio),
        "note": lambda row: row.measurement.failure,
    }
    result = rich.table.Table(box=rich.box.SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    cells = {name: [cell(row) for row in rows] for name, cell in columns.items()}
    cells = {name: column for name, column in cells.items() if any(column)}
    for name in cells:
        result.add_column(
            name.removeprefix(">"),
            justify="right" if name.startswith(">") else "left",
            no_wrap=name != "note",
            overflow="fold",
        )
    for i, row in enumerate(rows):
        first = i == 0 or rows[i - 1].case != row.case
        if first and i:
            result.add_section()
        values = [column[i] for column in cells.values()]
        result.add_row(values[0] if first else "", *values[1:])
    return result


def to_json(row: Row) -> dict[str, Any]:
    """All of a row, with every measurement."""
    return {
        "panel": row.panel,
        "case": row.case,
        "side": row.side,
        "label": SIDES[row.side].label,
        "median_seconds": row.median,
        "images_per_second": row.images_per_second,
        "ratio": row.ratio,
        "peak_bytes": row.measurement.peak_bytes,
        "memory_ratio": row.memory_ratio,
        "failure": row.measurement.failure,
        "rounds_of_calls_seconds": row.measurement.rounds,
    }


def _elsewhere(side: str, devices: dict[str, dict[str, str]]) -> str:
    here, there = devices.get(OURS), devices.get(side)
    if here is None or there is None or here["platform"] == there["platform"]:
        return ""
    return f" (on {there['platform']})"


def _versions(session: Session) -> str:
    """Every package once, unless sides have different versions of it."""
    found = {
        f"{package} {version}": None
        for versions in session.versions.values()
        for package, version in versions.items()
    }
    return ", ".join(found)


def _processor() -> str:
    """Its name as Linux or, in general, Python knows it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.processor() or platform.machine()
