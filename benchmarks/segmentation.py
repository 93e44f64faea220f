"""Training and inference of a segmenter beside torchvision: time and peak memory.

python -m benchmarks.segmentation --help
"""

from benchmarks import report, settings, summary, whole_networks
from benchmarks.workloads import Segmentation
from mobilenets.cli import command_line

SIDES = "ours, flax, torch, torch_memory, torch_compile, torch_compile_memory"
OTHERS = "flax_memory, ours_bfloat16, torch_amp"
TASKS = {
    "segmentation_training": "training step",
    "segmentation_inference": "inference",
}


def segmentation(
    batch: settings.Batch = 4,
    resolution: settings.Resolution = 256,
    threads: settings.Threads = 0,
    processes: settings.Processes = 3,
    repeats: settings.Repeats = 3,
    seconds: settings.Seconds = 1.0,
    sides: settings.Sides = SIDES,
    pythons: settings.Pythons = None,
    one_at_a_time: settings.OneAtATime = False,
    output: settings.Output = settings.DEFAULT_OUTPUT,
) -> None:
    """Compare LR-ASPP on MobileNetV3-Large with torchvision's, which is the same.

    A training step is forward, the cross-entropy of every pixel, backward and the
    update by SGD with momentum, including batch statistics. Inference is from images to
    the logits of every pixel. Both are in float32, on synthetic images on the device.
    Each side runs in a process of its own, and the sides take turns. The ratio is a
    side's median time divided by ours: above 1, ours is faster. The peak memory is that
    of the process (on accelerators: of the device) while it runs steps. torch needs
    torchvision beside it.
    """
    options = settings.check(
        sides,
        f"{SIDES}, {OTHERS}".split(", "),
        threads,
        pythons,
        output,
        one_at_a_time,
    )
    workload = Segmentation(batch, resolution)
    machine = report.measure_machine(options)
    rows = []
    with options.session() as session:
        for task, panel in TASKS.items():
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
            rows += summary.rows(panel, workload.model, measured, batch)
    heading = (
        f"Segmentation: batch {batch}, {resolution} x {resolution} pixels, "
        f"{workload.classes} classes, float32; medians of {processes} x {repeats} "
        "rounds"
    )
    report.publish("segmentation", heading, options, machine, session, rows)


if __name__ == "__main__":
    settings.run(
        segmentation,
        command_line.examples(
            "python -m benchmarks.segmentation",
            "python -m benchmarks.segmentation --sides ours,torch "
            "--python torch=torch_env/bin/python",
        ),
    )
