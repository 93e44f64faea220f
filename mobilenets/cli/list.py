"""`mobilenets list`."""

from typing import Any

from mobilenets.cli import tables
from mobilenets.cli.command_line import Json, examples, print_json
from mobilenets.networks import complexity
from mobilenets.networks.architectures import ARCHITECTURES

EPILOG = examples("mobilenets list", "mobilenets list --json")


def command(as_json: Json = False) -> None:
    """List all networks with cost and published accuracy.

    Parameters and multiply-adds (MAdds) are exact, for 1000 classes and one image of
    the given height and width in pixels. Top-1 is the source's, on ImageNet.
    """
    networks = [_listed(name) for name in ARCHITECTURES]
    if as_json:
        print_json(networks)
    else:
        tables.print_list(networks)


def _listed(name: str) -> dict[str, Any]:
    architecture = ARCHITECTURES[name]
    spec = architecture.make()
    return {
        "name": name,
        "parameters": complexity.params(spec),
        "madds": complexity.madds(spec),
        "resolution": spec.resolution,
        "top1": architecture.top1,
        "source": architecture.source,
    }
