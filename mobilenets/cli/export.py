"""`mobilenets export`."""

import enum
import pathlib
from typing import Annotated

import typer

from mobilenets.cli import networks, outputs, tables
from mobilenets.cli.command_line import examples, prepare_jax, tell
from mobilenets.errors import UserError

EPILOG = examples(
    "mobilenets export --weights efficientnet_lite0 --format onnx --output lite0.onnx",
    "mobilenets export --weights runs/mine --format litert --output mine.tflite "
    "--photographs photos",
    "mobilenets export --weights runs/mine --format litert --output mine_int8.tflite "
    "--int8 --calibration photos",
)


class Format(enum.StrEnum):
    """The formats."""

    STABLEHLO = "stablehlo"
    LITERT = "litert"
    ONNX = "onnx"


class Layout(enum.StrEnum):
    """The order of an image's axes."""

    NCHW = "nchw"
    NHWC = "nhwc"


def command(
    weights: Annotated[str, typer.Option(help=networks.TRAINED)],
    format: Annotated[Format, typer.Option(help="Of the file.")],
    output: Annotated[
        pathlib.Path,
        typer.Option(
            help="The file to write. A record of it, FILE.json, is written beside it.",
            metavar="FILE",
        ),
    ],
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            help="Images of a call. Default: any number; 1 for LiteRT.",
        ),
    ] = None,
    layout: Annotated[
        Layout | None,
        typer.Option(
            help="For ONNX: the order of the input's axes. Default: nchw. The other "
            "formats have nhwc."
        ),
    ] = None,
    opset: Annotated[
        int | None,
        typer.Option(help="For ONNX: the version of its operators. Default: 17."),
    ] = None,
    ir_version: Annotated[
        int | None,
        typer.Option(help="For ONNX: the version of its file format. Default: 8."),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Weights and maps of 8 bits; needs --calibration."),
    ] = False,
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Photographs that tell the range of each map, for --int8. At most 256 "
            "are used.",
        ),
    ] = None,
    photographs: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Photographs on which file and weights are compared, at most 64. "
            "Default: those of --calibration, or random images.",
        ),
    ] = None,
) -> None:
    """Write a trained network to a file for another runtime.

    The file takes normalised images. Batch norms are folded into the convolutions. A
    classifier gives "logits" and "features"; a detector "box_codes" and "class_logits"
    of its anchors; a segmenter the "logits" of every pixel; a backbone "features". The
    record beside the file says what the file takes and gives, how images are
    preprocessed, and how far the outputs are from those of the weights. predict,
    features, eval and benchmark accept the file as weights.
    """
    if int8 != (calibration is not None):
        raise UserError(
            "--int8 and --calibration need each other: the photographs tell the ranges "
            "of the maps."
        )
    if output.suffix == ".json":
        raise UserError(f"--output {output} is the name of a record: give another.")
    prepare_jax()
    from mobilenets.export import exporting, formats, record
    from mobilenets.inference import trained

    outputs.check({"output": output})
    outputs.check({"output": record.beside(output)})
    name: formats.FormatName = format.value
    chosen = formats.Options(batch, layout.value if layout else None, opset, ir_version)
    formats.checked(name, chosen, int8)
    formats.writer(name)
    net = trained.load(networks.weights(weights))
    calibrated = compared = None
    if calibration is not None:
        calibrated = exporting.pixels_of(calibration, net, exporting.MOST_CALIBRATED)
        compared = calibrated[:: -(-len(calibrated) // exporting.MOST_COMPARED)]
    if photographs is not None:
        compared = exporting.pixels_of(photographs, net, exporting.MOST_COMPARED)
    tell(f"writing and comparing {net.description.network.name}")
    content, found = exporting.export(net, name, chosen, compared, calibrated)
    exporting.write(output, content, found)
    tables.print_record(found)
    print(f"Wrote {output} and {record.beside(output).name}.")
