"""The input pipeline beside others: images per second, and memory of all processes.

python -m benchmarks.input_pipeline --help
"""

import pathlib
import tempfile
from typing import Annotated

import typer

from benchmarks import photographs, report, settings, summary, whole_networks
from benchmarks.workloads import InputPipeline
from mobilenets.cli import command_line

SIDES = "ours, tensorflow, tensorflow_memory, torchvision, torchvision_memory"
OTHERS = "ours_workers"

Batch = Annotated[int, typer.Option(min=1, help="Images per batch.")]
Photographs = Annotated[
    pathlib.Path | None,
    typer.Option(
        "--photographs",
        metavar="FOLDER",
        help="Real photographs, from which the JPEGs are made; one of matplotlib's if "
        "left out.",
    ),
]
Files = Annotated[int, typer.Option(min=2, help="JPEGs to make.")]
Cases = Annotated[
    str, typer.Option(metavar="NAMES", help="Of: crop, rand_augment; with commas.")
]


def input_pipeline(
    batch: Batch = 32,
    resolution: settings.Resolution = 224,
    source: Photographs = None,
    files: Files = 2000,
    cases: Cases = "crop, rand_augment",
    threads: settings.Threads = 0,
    processes: settings.Processes = 3,
    repeats: settings.Repeats = 5,
    seconds: settings.Seconds = 3.0,
    sides: settings.Sides = SIDES,
    pythons: settings.Pythons = None,
    output: settings.Output = settings.DEFAULT_OUTPUT,
) -> None:
    """Compare the input of a training with tf.data and with torchvision.

    All read the same JPEGs of ImageNet's size and give batches of uint8: random crops
    of 8 % to 100 % of the area, resized and mirrored by half; with rand_augment two
    operations of magnitude 9 after that. Ours and tf.data use threads, torchvision a
    DataLoader with a process for each core; ours_workers has as many. tf.data resizes
    without antialiasing, the others with it.

    A call is 32 batches. The ratio is a side's median time divided by ours: above 1,
    ours is faster. The memory is that of a side's processes together (PSS).
    """
    options = settings.check(
        sides, f"{SIDES}, {OTHERS}".split(", "), threads, pythons, output
    )
    names = settings.names("case", cases, ["crop", "rand_augment"])
    rows = []
    with tempfile.TemporaryDirectory() as folder, options.session() as session:
        options.tell(f"making {files:,} JPEGs")
        size = photographs.make(
            source or photographs.of_matplotlib(), pathlib.Path(folder), files
        )
        machine = report.measure_machine(options)
        for name in names:
            workload = InputPipeline(
                folder, batch, resolution, name == "rand_augment", options.threads
            )
            measured = whole_networks.in_processes(
                session,
                options,
                "input_pipeline",
                workload,
                processes,
                repeats,
                seconds,
                with_memory=True,
            )
            rows += summary.rows(
                "time of 32 batches", workload.model, measured, workload.images
            )
    heading = (
        f"Input pipeline: batches of {batch}, {resolution} x {resolution} pixels, from "
        f"{files} JPEGs of {size / 1000:.0f} kB; medians of {processes} x {repeats} "
        "rounds"
    )
    report.publish("input_pipeline", heading, options, machine, session, rows)


if __name__ == "__main__":
    settings.run(
        input_pipeline,
        command_line.examples(
            "python -m benchmarks.input_pipeline",
            "python -m benchmarks.input_pipeline --photographs holidays --cases crop",
            "python -m benchmarks.input_pipeline --sides ours,torchvision "
            "--python torch=torch_env/bin/python",
        ),
    )
