"""`mobilenets benchmark`."""

from typing import Annotated

import typer

from mobilenets.cli import tables
from mobilenets.cli.command_line import Json, examples, prepare_jax, print_json, tell
from mobilenets.networks import complexity
from mobilenets.networks.own_spec import named_or_own

EPILOG = examples(
    "mobilenets benchmark mobilenet_v3_small",
    "mobilenets benchmark mobilenet_v2 efficientnet_b0 --batch 8 --resolution 192",
)


def command(
    names: Annotated[
        list[str], typer.Argument(help="Names that `mobilenets list` prints.")
    ],
    batch: Annotated[int, typer.Option(min=1, help="Images of a call.")] = 1,
    resolution: Annotated[
        int | None,
        typer.Option(help="Height and width in pixels; by default each network's own."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measures inference here: seconds from images to 1000 logits, float32.

    After a warm-up the networks have their turns in seven rounds, in an order that
    changes. A round's value is the median of its calls, the result their median.
    """
    given = {} if resolution is None else {"resolution": resolution}
    specs = {name: named_or_own(name, **given) for name in dict.fromkeys(names)}
    prepare_jax()
    from mobilenets.profiling import latency

    nets = {name: latency.Net(spec) for name, spec in specs.items()}
    measured = latency.measure(nets, batch, tell=tell)
    rows = [
        {
            "name": name,
            "resolution": spec.resolution,
            "madds": complexity.madds(spec),
            "batch": batch,
            "median_seconds": measured[name].median,
            "round_seconds": measured[name].rounds,
        }
        for name, spec in specs.items()
    ]
    if as_json:
        print_json(rows)
    else:
        tables.print_latencies(rows)
