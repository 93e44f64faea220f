"""`mobilenets benchmark`."""

from typing import Annotated

import typer

from mobilenets.cli import networks, tables
from mobilenets.cli.command_line import Json, examples, prepare_jax, print_json, tell
from mobilenets.networks import complexity

EPILOG = examples(
    "mobilenets benchmark mobilenet_v3_small",
    "mobilenets benchmark mobilenet_v2 efficientnet_b0 --batch 8 --resolution 192",
    "mobilenets benchmark mobilenet_v2 runs/mine",
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
    as_json: Json = False,
) -> None:
    """Measure inference latency on this machine.

    The latency is the time from images to logits, in float32; for a detector to the
    logits and box codes of its anchors, without non-maximum suppression. After a
    warm-up the networks take turns in seven rounds, in an order that changes. The value
    of a round is the median of its calls. The result is the median of the rounds.
    Trained weights keep their classes; a classifier given by name has 1000, a detector
    90.
    """
    overrides = {} if resolution is None else {"resolution": resolution}
    given = [networks.network(name, **overrides) for name in dict.fromkeys(names)]
    prepare_jax()
    from mobilenets.profiling import latency

    nets = {net.name: latency.Net(net.spec, net.num_classes) for net in given}
    measured = latency.measure(nets, batch, tell=tell)
    rows = [
        {
            "name": net.name,
            "resolution": net.spec.resolution,
            "madds": complexity.madds(net.spec, net.num_classes),
            "batch": batch,
            "median_seconds": measured[net.name].median,
            "round_seconds": measured[net.name].rounds,
        }
        for net in given
    ]
    if as_json:
        print_json(rows)
    else:
        tables.print_latencies(rows)
