"""`mobilenets benchmark`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenets.cli import networks, tables
from mobilenets.cli.command_line import Json, examples, prepare_jax, print_json, tell
from mobilenets.networks import complexity

if TYPE_CHECKING:  # it needs JAX
    from mobilenets.profiling.latency import Measured

EPILOG = examples(
    "mobilenets benchmark mobilenet_v3_small",
    "mobilenets benchmark mobilenet_v2 efficientnet_b0 --batch 8 --resolution 192",
    "mobilenets benchmark mobilenet_v2 runs/mine",
    "mobilenets benchmark mobilenet_v2 --runtime jax,litert,onnxruntime",
)


def command(
    names: Annotated[
        list[str], typer.Argument(metavar="NETWORK...", help=networks.NAME_OR_FOLDER)
    ],
    batch: Annotated[int, typer.Option(min=1, help="Images per call.")] = 1,
    resolution: Annotated[
        int | None,
        typer.Option(help="Height and width in pixels. Default: each network's own."),
    ] = None,
    runtime: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="What computes the networks: jax, litert or onnxruntime, or several "
            "separated by commas. An exported file has its own.",
        ),
    ] = "jax",
    as_json: Json = False,
) -> None:
    """Measure inference latency on this machine.

    The latency is the time from images to logits, in float32 (or as an exported file
    has it); for a detector to the logits and box codes of its anchors, without
    non-maximum suppression. After a warm-up the networks take turns in seven rounds, in
    an order that changes. The value of a round is the median of its calls. The result
    is the median of the rounds. Trained weights keep their classes; a classifier given
    by name has 1000, a detector 90.
    """
    overrides = {} if resolution is None else {"resolution": resolution}
    given = [networks.network(name, **overrides) for name in dict.fromkeys(names)]
    prepare_jax()
    from mobilenets.export import measured
    from mobilenets.profiling import latency

    chosen = measured.runtimes(runtime)
    contestants = {
        (net, kind): timed for net in given for kind, timed in _in_runtimes(net, chosen)
    }
    found = latency.measure(contestants, batch, tell=tell)
    rows = [
        {
            "name": net.name,
            "runtime": kind,
            "resolution": net.spec.resolution,
            "madds": complexity.madds(net.spec, net.num_classes),
            "batch": batch,
            "median_seconds": found[net, kind].median,
            "round_seconds": found[net, kind].rounds,
        }
        for net, kind in contestants
    ]
    if as_json:
        print_json(rows)
    else:
        tables.print_latencies(rows)


def _in_runtimes(
    net: networks.Given, chosen: Sequence[str]
) -> "Iterator[tuple[str, Measured]]":
    """A network in each runtime; an exported file in its own."""
    from mobilenets.export import exported, formats, measured

    if networks.is_file(net.folder):
        found = exported.load(net.folder)
        yield formats.FORMATS[found.format].runtime, found
        return
    for name in chosen:
        yield name, measured.RUNTIMES[name](net.spec, net.num_classes)
