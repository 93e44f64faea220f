"""`mobilenets features`."""

import pathlib
from typing import Annotated

import typer

from mobilenets.cli import networks, outputs
from mobilenets.cli.command_line import examples, fail_with, prepare_jax
from mobilenets.errors import UserError

EPILOG = examples(
    "mobilenets features photos --weights weights/v2 --output features.npz",
    "mobilenets features photos --weights efficientnet_lite0 --output features.npz",
)


def command(
    folder: Annotated[
        str, typer.Argument(help="A folder of images; subfolders are included.")
    ],
    weights: Annotated[str, typer.Option(help=networks.NAME_OR_WEIGHTS)],
    output: Annotated[
        pathlib.Path, typer.Option(help="The .npz file to write.", metavar="FILE")
    ],
) -> None:
    """Write the feature vectors of images to a file.

    They are the inputs of the last layer; for a backbone without logits, a detector or
    a segmenter the means of the backbone's last feature map. The file holds "features",
    [images, channels] float32, and "paths", relative to the folder. Files that are not
    images are reported and skipped; the exit code is then 1.
    """
    prepare_jax()
    from mobilenets.inference import prediction

    if output.suffix != ".npz":
        raise UserError(f"The output must be an .npz file, but is {str(output)!r}.")
    outputs.check({"output": output})
    paths = prediction.images_in(folder)
    net = networks.load(weights)
    broken: list[UserError] = []
    readable = prediction.read_photos(paths, net, broken.append)
    vectors = dict(prediction.features(net, readable))
    if vectors:
        prediction.save_features(vectors, folder, output)
        channels = net.description.network.feature_channels
        print(f"Wrote {len(vectors)} vectors of {channels} to {output}.")
    fail_with(broken)
