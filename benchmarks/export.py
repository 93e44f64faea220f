"""What to ship: JAX beside LiteRT, ONNX Runtime and torch, and the sizes of the files.

python -m benchmarks.export --help
"""

from typing import Annotated

import rich.table
import typer

from benchmarks import report, settings, summary, whole_networks
from benchmarks.workloads import CLASSES
from mobilenets import get_spec
from mobilenets.cli import command_line
from mobilenets.errors import UserError
from mobilenets.runtime.console import console

SIDES = "ours, litert_file, onnx_file, torch_jit, torch_compile"
OTHERS = "torch, torch_memory, torch_jit_memory, torch_compile_memory"

Batches = Annotated[
    str,
    typer.Option(metavar="NUMBERS", help="Images per call, separated by commas."),
]


def export(
    models: settings.Models = "mobilenet_v1, mobilenet_v2, mobilenet_v3_large, "
    "efficientnet_b0",
    batches: Batches = "1, 32",
    resolution: settings.Resolution = 224,
    threads: settings.Threads = 0,
    processes: settings.Processes = 3,
    repeats: settings.Repeats = 3,
    seconds: settings.Seconds = 0.5,
    sides: settings.Sides = SIDES,
    pythons: settings.Pythons = None,
    output: settings.Output = settings.DEFAULT_OUTPUT,
) -> None:
    """Compare the time from images to logits in JAX with that of exported files.

    In float32, on synthetic images. The files are ours, with random weights; torch runs
    timm's networks. Give --threads 1 for one core. Each side runs in a process of its
    own, and the sides take turns. Libraries that are not installed are skipped. The
    ratio is a side's median time divided by ours: above 1, ours is faster.
    """
    allowed = f"{SIDES}, {OTHERS}".split(", ")
    options = settings.check(sides, allowed, threads, pythons, output)
    workloads = {
        batch: settings.networks(models, batch, resolution)
        for batch in _numbers(batches)
    }
    machine = report.measure_machine(options)
    rows = []
    with options.session() as session:
        for batch, networks in workloads.items():
            for network in networks:
                measured = whole_networks.in_processes(
                    *(session, options, "inference", network),
                    *(processes, repeats, seconds),
                    with_memory=False,
                )
                rows += summary.rows(f"batch {batch}", network.model, measured, batch)
    heading = (
        f"Exported files: {resolution} x {resolution} pixels, {CLASSES} classes, "
        f"float32; medians of {processes} x {repeats} rounds"
    )
    console.print(_sizes([*dict.fromkeys(row.case for row in rows)], resolution))
    report.publish("export", heading, options, machine, session, rows)


def _numbers(text: str) -> list[int]:
    """Of "1, 32".

    Raises:
      UserError: one is no number above 0.
    """
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not word.isdecimal() or int(word) < 1:
            raise UserError(
                f"--batches has {word!r}, but must be whole numbers from 1, such as "
                "1,32."
            )
    return [*dict.fromkeys(map(int, words))]


def _sizes(models: list[str], resolution: int) -> rich.table.Table:
    """The megabytes of each network's file in each format that is installed."""
    from mobilenets.export.formats import FORMATS
    from mobilenets.export.measured import NetInFile

    table = rich.table.Table(title="size of the file, MB")
    table.add_column("")
    for chosen in FORMATS.values():
        table.add_column(chosen.title, justify="right")
    for model in models:
        spec = get_spec(model, resolution=resolution)
        cells = []
        for name in FORMATS:
            try:
                content = NetInFile(name, spec, CLASSES).written(1)[0]
            except UserError:  # its package is not installed
                cells.append("-")
                continue
            cells.append(summary.number(len(content), 1e-6))
        table.add_row(model, *cells)
    return table


if __name__ == "__main__":
    settings.run(
        export,
        command_line.examples(
            "python -m benchmarks.export --python torch=torch_env/bin/python",
            "python -m benchmarks.export --threads 1 --batches 1 "
            "--sides ours,litert_file,onnx_file",
        ),
    )
