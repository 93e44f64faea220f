"""What the benchmarks of whole networks share."""

from collections.abc import Sequence

from benchmarks import report, summary
from benchmarks.driver import Measurement, Session
from benchmarks.settings import Settings
from benchmarks.workloads import (
    CLASSES,
    Detector,
    InputPipeline,
    Network,
    Segmentation,
)


def compare(
    task: str,
    heading: str,
    options: Settings,
    networks: Sequence[Network],
    processes: int,
    repeats: int,
    seconds: float,
    with_memory: bool = False,
) -> None:
    """Measures the networks one after the other, and publishes the result.

    Args:
      task: a key of `workloads.TASKS`, and the name of the benchmark.
      heading: what a call is, for people.
      options: as `settings.check` gives them.
      networks: as `settings.networks` gives them: of one batch size and resolution.
      processes: of each side, for each network.
      repeats: rounds in each process.
      seconds: see `Session.compare`.
      with_memory: see there.

    Raises:
      UserError: our side failed.
    """
    machine = report.measure_machine(options)
    rows = []
    with options.session() as session:
        for network in networks:
            measured = in_processes(
                session,
                options,
                task,
                network,
                processes,
                repeats,
                seconds,
                with_memory,
            )
            rows += summary.rows(
                "time of a call", network.model, measured, network.batch
            )
    batch, resolution = networks[0].batch, networks[0].resolution
    report.publish(
        task,
        f"{heading}: batch {batch}, {resolution} x {resolution} pixels, {CLASSES} "
        f"classes, float32; medians of {processes} x {repeats} rounds",
        options,
        machine,
        session,
        rows,
    )


def in_processes(
    session: Session,
    options: Settings,
    task: str,
    network: Network | Detector | Segmentation | InputPipeline,
    processes: int,
    repeats: int,
    seconds: float,
    with_memory: bool,
) -> dict[str, Measurement]:
    """The measurements of one network by side.

    A process is fast or slow for as long as it lives, by up to a quarter, whatever the
    library: by where its memory happens to lie. So each network is measured in several.

    Args:
      session: the sides.
      options: see `compare`, as for the others.
      task: see there.
      network: see there.
      processes: see there.
      repeats: see there.
      seconds: see there.
      with_memory: see there.
    """
    measured = {name: Measurement() for name in session.names}
    for number in range(1, processes + 1):
        options.tell(f"{network.model}, processes {number} of {processes}")
        session.restart()
        more = session.compare(task, network, repeats, seconds, with_memory)
        for name in more:
            measured[name] += more[name]
    return measured
