"""Inference beside other libraries: time and images per second.

python -m benchmarks.inference --help
"""

from benchmarks import settings, whole_networks
from mobilenets.cli import command_line

SIDES = (
    "ours, flax, torch, torch_memory, torch_jit, torch_compile, torch_compile_memory, "
    "keras_tensorflow, keras_tensorflow_memory, litert"
)
OTHERS = (
    "flax_memory, torch_jit_memory, keras_jax, keras_jax_memory, litert_memory, "
    "ours_bfloat16, torch_amp"
)


def inference(
    models: settings.Models = "mobilenet_v1, mobilenet_v2, mobilenet_v3_large, "
    "efficientnet_b0",
    batch: settings.Batch = 1,
    resolution: settings.Resolution = 224,
    threads: settings.Threads = 0,
    processes: settings.Processes = 3,
    repeats: settings.Repeats = 3,
    seconds: settings.Seconds = 0.5,
    sides: settings.Sides = SIDES,
    pythons: settings.Pythons = None,
    one_at_a_time: settings.OneAtATime = False,
    output: settings.Output = settings.DEFAULT_OUTPUT,
) -> None:
    """Compare the time from images to logits in float32 with other libraries.

    Each peer runs as it is installed and, as NAME_memory, with the settings of glibc
    that ours makes for itself: these ratios are the ones on equal terms. Weights are
    constants in ours, torch.jit, torch.compile (by freezing) and LiteRT. Mixed
    precision, beside ours in bfloat16, is not run unless it is asked for.

    The images are synthetic and on the device. Each side runs in a process of its own,
    and the sides take turns. Libraries that are not installed are skipped. The value of
    a round is the median of its calls, the result is the median of the rounds. The
    ratio is a side's time divided by ours: above 1, ours is faster.
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
        "inference",
        "Inference",
        options,
        settings.networks(models, batch, resolution),
        processes,
        repeats,
        seconds,
    )


if __name__ == "__main__":
    settings.run(
        inference,
        command_line.examples(
            "python -m benchmarks.inference",
            "python -m benchmarks.inference --models mobilenet_v2 --batch 32",
            "python -m benchmarks.inference --sides ours,litert --threads 1",
        ),
    )
