"""A training step beside other libraries: time, images per second, peak memory.

python -m benchmarks.training --help
"""

from benchmarks import settings, whole_networks
from mobilenets.cli import command_line

SIDES = (
    "ours, flax, torch, torch_memory, torch_compile, torch_compile_memory, "
    "keras_tensorflow, keras_tensorflow_memory"
)
OTHERS = "flax_memory, keras_jax, keras_jax_memory, ours_bfloat16, torch_amp"


def training(
    models: settings.Models = "mobilenet_v1, mobilenet_v2, mobilenet_v3_large, "
    "efficientnet_b0",
    batch: settings.Batch = 32,
    resolution: settings.Resolution = 128,
    threads: settings.Threads = 0,
    processes: settings.Processes = 3,
    repeats: settings.Repeats = 3,
    seconds: settings.Seconds = 1.0,
    sides: settings.Sides = SIDES,
    pythons: settings.Pythons = None,
    one_at_a_time: settings.OneAtATime = False,
    output: settings.Output = settings.DEFAULT_OUTPUT,
) -> None:
    """Compare a training step in float32 with other libraries.

    Each peer runs as it is installed and, as NAME_memory, with the settings of glibc
    that ours makes for itself: these ratios are the ones on equal terms. Mixed
    precision, beside ours in bfloat16, is not run unless it is asked for.

    A step is forward, softmax cross-entropy, backward and the update by SGD with
    momentum, including batch statistics, on synthetic images on the device. Each side
    runs in a process of its own, and the sides take turns. Libraries that are not
    installed are skipped. The ratio is a side's median time divided by ours: above 1,
    ours is faster. The peak memory is that of the process (on accelerators: of the
    device) while it runs steps.
    """
    options = settings.check(
        sides,
        f"{SIDES}, {OTHERS}".split(", "),
        threads,
        pythons,
        output,
        one_at_a_time,
    )
    whole_networks.compare(
        "training",
        "Training step",
        options,
        settings.networks(models, batch, resolution),
        processes,
        repeats,
        seconds,
        with_memory=True,
    )


if __name__ == "__main__":
    settings.run(
        training,
        command_line.examples(
            "python -m benchmarks.training",
            "python -m benchmarks.training --models mobilenet_v2 --batch 64",
            "python -m benchmarks.training --sides ours,torch "
            "--python torch=torch_env/bin/python",
        ),
    )
