"""`mobilenets export`."""

import enum
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobilenets.cli import eval as eval_command
from mobilenets.cli import networks, outputs, tables
from mobilenets.cli.command_line import examples, prepare_jax, tell, usage_errors
from mobilenets.config import overrides
from mobilenets.errors import UserError

if TYPE_CHECKING:  # they need JAX
    from mobilenets.inference.trained import TrainedNet
    from mobilenets.tasks.base import Task

EPILOG = examples(
    "mobilenets export --weights efficientnet_lite0 --format onnx --output lite0.onnx",
    "mobilenets export --weights runs/mine --format litert --output mine.tflite "
    "--photographs photos",
    "mobilenets export --weights runs/mine --format litert --output mine_int8.tflite "
    "--int8 --calibration photos",
    "mobilenets export --weights runs/mine --format onnx --output mine_int8.onnx "
    "--int8 --calibration photos --evaluate",
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


OPTIONS = (
    *("--weights", "--format", "--output", "--batch", "--layout", "--opset"),
    *("--ir-version", "--detections", "--int8", "--calibration", "--photographs"),
    *("--evaluate", "--split"),
)


def command(
    context: typer.Context,
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
    detections: Annotated[
        bool,
        typer.Option(
            "--detections",
            help="Of a detector: boxes, scores and classes without duplicates, as "
            "predict finds them, instead of the numbers of each anchor. Not for "
            "LiteRT.",
        ),
    ] = False,
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
    evaluate: Annotated[
        bool,
        typer.Option(
            "--evaluate",
            help="Also evaluate weights and file, as eval does: a run on its own sets, "
            "other weights on a data set, --config.dataset.KEY=VALUE.",
        ),
    ] = False,
    split: Annotated[str | None, typer.Option(help="For --evaluate: see eval.")] = None,
) -> None:
    """Write a trained network to a file for another runtime.

    The file takes normalised images. Batch norms are folded into the convolutions. All
    give "features"; a classifier also "logits"; a detector "box_codes" and
    "class_logits" of its anchors, or "boxes", "scores" and "classes"; a segmenter the
    "logits" of every pixel. The record beside the file says what the file takes and
    gives, how images are preprocessed, and how far the outputs are from those of the
    weights. predict, features, eval and benchmark accept the file as weights.
    """
    with usage_errors():
        given = overrides.parse(context.args, OPTIONS)
    if (given or split) and not evaluate:
        raise UserError(
            "--config and --split say on what is evaluated: give --evaluate, too."
        )
    if evaluate and detections:
        raise UserError(
            "--evaluate needs the numbers of each anchor: leave out --detections."
        )
    if int8 and calibration is None:
        raise UserError(
            "--int8 needs --calibration FOLDER: photographs that give the range of "
            "each map."
        )
    if calibration is not None and not int8:
        raise UserError("--calibration is for --int8: give both, or leave it out.")
    if output.suffix == ".json":
        raise UserError(f"--output {output} is the name of a record: give another.")
    prepare_jax()
    from mobilenets.evaluation.tables import print_results
    from mobilenets.export import evaluating, exporting, formats, record, signature
    from mobilenets.inference import trained

    outputs.check({"output": output})
    outputs.check({"output": record.beside(output)})
    name: formats.FormatName = format.value
    chosen = formats.Options(
        batch, layout.value if layout else None, opset, ir_version, detections
    )
    formats.checked(name, chosen, int8)
    formats.writer(name)
    folder = networks.weights(weights)
    net = trained.load(folder)
    signature.check(net.description.network, detections)
    task = _task(folder, net, given, split) if evaluate else None
    calibrated = compared = None
    if calibration is not None:
        calibrated = exporting.pixels_of(calibration, net, exporting.MOST_CALIBRATED)
        compared = calibrated[:: -(-len(calibrated) // exporting.MOST_COMPARED)]
    if photographs is not None:
        compared = exporting.pixels_of(photographs, net, exporting.MOST_COMPARED)
    tell(f"writing and comparing {net.description.network.name}")
    content, found = exporting.export(net, name, chosen, compared, calibrated)
    if task is not None:
        found = evaluating.evaluated(task, net, content, found)
    exporting.write(output, content, found)
    tables.print_record(found)
    if found.evaluation is not None:
        print_results(f"Split {found.evaluation.split}", found.evaluation.results)
    print(f"Wrote {output} and {record.beside(output)}.")


def _task(
    folder: str, net: "TrainedNet", given: Mapping[str, Any], split: str | None
) -> "Task":
    """What evaluates the network, with the data of the run or of the command line."""
    config = eval_command.config_for(folder, net.description, given, split)
    eval_command.refuse_several_views(config)
    return eval_command.task_for(config, net.description, split)
