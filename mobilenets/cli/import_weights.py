"""`mobilenets import-weights`."""

from typing import Annotated

import typer

from mobilenets.cli.command_line import examples, in_words, prepare_jax
from mobilenets.cli.eval import Weights

EPILOG = examples(
    "mobilenets import-weights mobilenet_v2.pth --library torchvision "
    "--model mobilenet_v2 --output weights/v2",
    "mobilenets import-weights model.safetensors --library timm "
    "--model tf_efficientnet_b3 --output weights/b3",
)


def command(
    file: Annotated[
        str,
        typer.Argument(
            help="A .pth, .safetensors, .index.json, .h5, .keras or TensorFlow file."
        ),
    ],
    library: Annotated[
        str,
        typer.Option(
            help="Where it is from: timm, torchvision, keras, tf-slim, tf-detection, "
            "efficientnet_pytorch, efficientnet_lite_pytorch or pretrainedmodels."
        ),
    ],
    model: Annotated[str, typer.Option(help="The model's name in that library.")],
    output: Annotated[str, typer.Option(help="A new folder for the weights.")],
    weights: Annotated[
        Weights,
        typer.Option(
            help="Averaged (ema) or latest (raw) weights, where the file has both."
        ),
    ] = Weights.EMA,
) -> None:
    """Import weights from another library.

    Writes a folder that all commands accept. Every array of the network is used once; a
    missing or unknown array, or one of the wrong shape, is an error. A head of your own
    is imported if it is one dense layer; otherwise the network is a backbone, for
    features and init_from. No code from the file is executed.
    """
    prepare_jax()
    from mobilenets.inference import trained
    from mobilenets.pretrained.formats.containers import Choice
    from mobilenets.pretrained.importing import from_file

    net = from_file(file, library, model, Choice(weights == Weights.EMA, print))
    trained.save(net, output)
    print(f"Wrote {in_words(net.description)} to {output}.")
