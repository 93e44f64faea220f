"""`mobilenets list`."""

from typing import Annotated, Any, Literal

import typer

from mobilenets.cli import tables
from mobilenets.cli.command_line import Json, examples, print_json
from mobilenets.networks import complexity
from mobilenets.networks.architectures import ARCHITECTURES
from mobilenets.networks.architectures.ssd import (
    COCO_NUMBERS,
    DETECTORS,
    PUBLISHED_AP,
    get_detector,
)

EPILOG = examples(
    "mobilenets list", "mobilenets list --task detection", "mobilenets list --json"
)


def command(
    task: Annotated[
        Literal["classification", "detection"],
        typer.Option(help="The task of the networks."),
    ] = "classification",
    as_json: Json = False,
) -> None:
    """List all networks with cost and published accuracy.

    Parameters and multiply-adds (MAdds) are exact, for one image of the given height
    and width in pixels. Classifiers have 1000 classes; top-1 is the source's, on
    ImageNet. Detectors have COCO's 90 numbers of classes and the background; AP is the
    source's, on COCO.
    """
    if task == "detection":
        networks = [_listed_detector(name) for name in DETECTORS]
    else:
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


def _listed_detector(name: str) -> dict[str, Any]:
    spec = get_detector(name)
    ap, source = PUBLISHED_AP.get(name, (None, "not published"))
    return {
        "name": name,
        "parameters": complexity.params(spec, COCO_NUMBERS),
        "madds": complexity.madds(spec, COCO_NUMBERS),
        "resolution": spec.resolution,
        "ap": ap,
        "source": source,
    }
