"""torchvision's SSDLite beside torchvision: a training step and inference.

python -m benchmarks.detection --help
"""

from typing import Annotated

import typer

from benchmarks import report, settings, summary, whole_networks
from benchmarks.workloads import Detector
from mobilenets.cli import command_line

SIDES = "ours, flax, torchvision, torchvision_memory"
OTHERS = "flax_memory, ours_bfloat16"

Batch = Annotated[int, typer.Option(min=1, help="Images per training step.")]
InferenceBatch = Annotated[int, typer.Option(min=1, help="Images per inference.")]


def detection(
    batch: Batch = 8,
    inference_batch: InferenceBatch = 1,
    threads: settings.Threads = 0,
    processes: settings.Processes = 3,
    repeats: settings.Repeats = 3,
    seconds: settings.Seconds = 1.0,
    sides: settings.Sides = SIDES,
    pythons: settings.Pythons = None,
    one_at_a_time: settings.OneAtATime = False,
    output: settings.Output = settings.DEFAULT_OUTPUT,
) -> None:
    """Compare ssdlite320_mobilenet_v3_large with torchvision's, in float32.

    torchvision runs as it is installed and, as torchvision_memory, with the settings of
    glibc that ours makes for itself: that ratio is the one on equal terms.

    A training step is normalisation, forward, matching with 8 boxes per image, mining,
    both losses, backward and the update by SGD with momentum, including batch
    statistics. Inference is normalisation, forward, decoding and non-maximum
    suppression. There five of the 90 classes have a score above the threshold
    everywhere, so 1,500 boxes per image are compared. The work of ours does not depend
    on that number.

    The images are synthetic and on the device. Each side runs in a process of its own,
    and the sides take turns. Libraries that are not installed are skipped. The ratio is
    a side's median time divided by ours: above 1, ours is faster. The peak memory is
    that of the process (on accelerators: of the device) while it runs steps.
    """
    allowed = f"{SIDES}, {OTHERS}".split(", ")
    options = settings.check(sides, allowed, threads, pythons, output, one_at_a_time)
    machine = report.measure_machine(options)
    workloads = {
        "training step": ("detector_training", Detector(batch)),
        "inference": ("detector_inference", Detector(inference_batch)),
    }
    rows = []
    with options.session() as session:
        for case, (task, workload) in workloads.items():
            measured = whole_networks.in_processes(
                session,
                options,
                task,
                workload,
                processes,
                repeats,
                seconds,
                with_memory=True,
            )
            rows += summary.rows("time of a call", case, measured, workload.batch)
    heading = (
        f"ssdlite320_mobilenet_v3_large: training step with batch {batch}, inference "
        f"with batch {inference_batch}, float32; medians of {processes} x {repeats} "
        "rounds"
    )
    report.publish("detection", heading, options, machine, session, rows)


if __name__ == "__main__":
    settings.run(
        detection,
        command_line.examples(
            "python -m benchmarks.detection",
            "python -m benchmarks.detection --batch 32 --inference-batch 8",
            "python -m benchmarks.detection --sides ours,torchvision_memory "
            "--python torch=torch_env/bin/python",
        ),
    )
