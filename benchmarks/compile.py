"""The time to the first step, with and without the persistent cache.

python -m benchmarks.compile --help
"""

import dataclasses
import random
import tempfile

from benchmarks import report, settings, summary
from benchmarks.driver import FailedError, Measurement, Session
from benchmarks.workloads import Network
from mobilenets.cli import command_line

SIDES = "ours, flax"
TASKS = {"compile_training": "training step", "compile_inference": "inference"}
PHASES = ("trace", "compile", "first call")
CACHES = ("cold", "warm")


def compile(
    models: settings.Models = "efficientnet_b0",
    batch: settings.Batch = 32,
    resolution: settings.Resolution = 128,
    threads: settings.Threads = 0,
    repeats: settings.Repeats = 3,
    sides: settings.Sides = SIDES,
    output: settings.Output = settings.DEFAULT_OUTPUT,
) -> None:
    """Compare the time of the first call with stock Flax, by phase.

    "trace" is the part in Python, up to StableHLO. "compile" is the part in XLA, or
    reading the result from JAX's persistent cache. "first call" is both and the run.
    Every measurement uses a new process. The cache is first an empty folder ("cold"),
    then the same folder again ("warm"). The ratio is the median of stock Flax divided
    by ours: above 1, ours is faster.
    """
    options = settings.check(sides, SIDES.split(", "), threads, None, output)
    networks = settings.networks(models, batch, resolution)
    machine = report.measure_machine(options)
    rows = []
    with options.session() as session:
        for network in networks:
            for task, panel in TASKS.items():
                options.tell(f"{network.model}, {panel}")
                measured = time_phases(session, task, network, repeats)
                for case, of_sides in measured.items():
                    rows += summary.rows(panel, f"{network.model}: {case}", of_sides)
    heading = (
        f"First call: batch {batch}, {resolution} x {resolution} pixels, float32; "
        f"medians of {repeats} rounds"
    )
    report.publish("compile", heading, options, machine, session, rows)


def time_phases(
    session: Session, task: str, network: Network, repeats: int
) -> dict[str, dict[str, Measurement]]:
    """The seconds of each phase, as a round each: by case, then by side."""
    results = {
        f"{phase}, {cache}": {name: Measurement() for name in session.names}
        for cache in CACHES
        for phase in PHASES
    }
    shuffled = random.Random(0)
    workload = dataclasses.asdict(network)
    for _ in range(repeats):
        for name in shuffled.sample(session.names, len(session.names)):
            with tempfile.TemporaryDirectory() as folder:
                for cache in CACHES:
                    request = {"task": task, "workload": workload, "cache": folder}
                    try:
                        answer = session.ask_new(name, "time_phases", **request)
                    except FailedError as error:
                        for phase in PHASES:
                            results[f"{phase}, {cache}"][name].failure = str(error)
                        continue
                    for phase, seconds in answer["seconds"].items():
                        results[f"{phase}, {cache}"][name].rounds.append([seconds])
    return results


if __name__ == "__main__":
    settings.run(
        compile,
        command_line.examples(
            "python -m benchmarks.compile",
            "python -m benchmarks.compile --models mobilenet_v2,efficientnet_b0",
        ),
    )
