"""What the benchmarks of training and of inference share."""

from collections.abc import Sequence
from typing import Any

from benchmarks import report, summary
from benchmarks.driver import Measurement, Session
from benchmarks.settings import Settings
from benchmarks.workloads import CLASSES, Network


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
                processes,
                network.model,
                task,
                network,
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
    processes: int,
    what: str,
    *of_compare: Any,
) -> dict[str, Measurement]:
    """What `Session.compare` finds in several processes of each side together.

    A process is fast or slow for as long as it lives, by up to a quarter, whatever the
    library: by where its memory happens to lie. So each network is measured in several.

    Args:
      session: of the sides.
      options: tell the progress.
      processes: of each side.
      what: is measured, for the progress.
      *of_compare: the arguments of `Session.compare`.
    """
    measured = {name: Measurement() for name in session.names}
    for number in range(1, processes + 1):
        options.tell(f"{what}, processes {number} of {processes}")
        session.restart()
        more = session.compare(*of_compare)
        for name in more:
            measured[name] += more[name]
    return measured
