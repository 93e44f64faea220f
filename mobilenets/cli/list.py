"""`mobilenets list`."""

from typing import Annotated, Any, Literal

import typer

from mobilenets.cli import tables
from mobilenets.cli.command_line import Json, examples, print_json
from mobilenets.networks import complexity
from mobilenets.networks.architectures import ARCHITECTURES
from mobilenets.networks.architectures.deeplab import (
    PUBLISHED_MIOU,
    SEGMENTERS,
    get_segmenter,
    published_classes,
)
from mobilenets.networks.architectures.ssd import (
    COCO_NUMBERS,
    DETECTORS,
    PUBLISHED_AP,
    get_detector,
)

EPILOG = examples(
    "mobilenets list",
    "mobilenets list --task detection",
    "mobilenets list --task segmentation",
    "mobilenets list --json",
)


def command(
    task: Annotated[
        Literal["classification", "detection", "segmentation"],
        typer.Option(help="The task of the networks."),
    ] = "classification",
    as_json: Json = False,
) -> None:
    """List all networks with cost and published accuracy.

    Parameters and multiply-adds (MAdds) are exact, for one image of the given height
    and width in pixels. Classifiers have 1000 classes; top-1 is the source's, on
    ImageNet. Detectors have COCO's 90 numbers of classes and the background; AP is the
    source's, on COCO. Segmenters have the classes of the data on which their source
    reports them: 19 of Cityscapes, or 20 of PASCAL VOC and the background.
    """
    if task == "detection":
        networks = [_listed_detector(name) for name in DETECTORS]
    elif task == "segmentation":
        networks = [_listed_segmenter(name) for name in SEGMENTERS]
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


def _listed_segmenter(name: str) -> dict[str, Any]:
    spec, classes = get_segmenter(name), published_classes(name)
    miou, source = PUBLISHED_MIOU.get(name, (None, "not published"))
    return {
        "name": name,
        "parameters": complexity.params(spec, classes),
        "madds": complexity.madds(spec, classes),
        "resolution": spec.resolution,
        "miou": miou,
        "source": source,
    }
