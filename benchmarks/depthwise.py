"""The depthwise convolutions of the networks alone, beside other libraries.

python -m benchmarks.depthwise --help
"""

from benchmarks import report, settings, summary
from benchmarks.workloads import Depthwise, Network
from mobilenets import get_spec
from mobilenets.cli import command_line

SIDES = "ours, flax, torch"
TASKS = {
    "depthwise_forward": "forward",
    "depthwise_training": "forward and backward",
}


def depthwise(
    models: settings.Models = "mobilenet_v2, mobilenet_v3_large, efficientnet_b0",
    batch: settings.Batch = 32,
    resolution: settings.Resolution = 128,
    threads: settings.Threads = 0,
    repeats: settings.Repeats = 7,
    seconds: settings.Seconds = 0.1,
    sides: settings.Sides = SIDES,
    pythons: settings.Pythons = None,
    one_at_a_time: settings.OneAtATime = False,
    output: settings.Output = settings.DEFAULT_OUTPUT,
) -> None:
    """Compare each depthwise convolution of networks with other libraries.

    Ours is `mobilenets.nn.depthwise.depthwise_conv`. Stock Flax uses XLA's own grouped
    convolution, torch uses `conv2d` with groups, channels last. All use float32 and
    padding k // 2. Backward is the gradient of input and kernel. Each side runs in a
    process of its own, and the sides take turns. The ratio is a side's median time
    divided by ours: above 1, ours is faster.
    """
    options = settings.check(
        sides, SIDES.split(", "), threads, pythons, output, one_at_a_time
    )
    networks = settings.networks(models, batch, resolution)
    workloads = sorted(
        {shape for network in networks for shape in shapes(network)},
        key=lambda w: (w.kernel_size, w.stride, -w.size, w.channels),
    )
    machine = report.measure_machine(options)
    rows = []
    with options.session() as session:
        for task, panel in TASKS.items():
            for workload in workloads:
                case = in_words(workload)
                options.tell(f"{case}, {panel}")
                measured = session.compare(task, workload, repeats, seconds)
                rows += summary.rows(panel, case, measured)
    heading = (
        f"Depthwise convolutions of {models} at {resolution} x {resolution} pixels: "
        f"batch {batch}, float32; medians of {repeats} rounds"
    )
    report.publish("depthwise", heading, options, machine, session, rows)


def shapes(network: Network) -> list[Depthwise]:
    """The depthwise convolutions of a network, by block."""
    backbone = get_spec(network.model, resolution=network.resolution).backbone
    size = -(-backbone.resolution // backbone.stem_stride)
    result = []
    for block in backbone.blocks:
        result.append(
            Depthwise(
                kernel_size=block.kernel_size,
                stride=block.stride,
                channels=block.expanded_channels,
                size=size,
                batch=network.batch,
            )
        )
        size = -(-size // block.stride)
    return result


def in_words(workload: Depthwise) -> str:
    """The shape in a few characters.

    >>> in_words(Depthwise(kernel_size=3, stride=2, channels=96, size=64, batch=32))
    '3x3 / 2, 64x64x96'
    """
    k, size = workload.kernel_size, workload.size
    return f"{k}x{k} / {workload.stride}, {size}x{size}x{workload.channels}"


if __name__ == "__main__":
    settings.run(
        depthwise,
        command_line.examples(
            "python -m benchmarks.depthwise",
            "python -m benchmarks.depthwise --models mobilenet_v2 --resolution 224",
            "python -m benchmarks.depthwise --sides ours,torch --threads 1",
        ),
    )
