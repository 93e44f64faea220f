"""`mobilenets profile`."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from mobilenets.cli import networks, tables
from mobilenets.cli.command_line import (
    Json,
    examples,
    prepare_jax,
    print_json,
    tell,
)
from mobilenets.errors import UserError
from mobilenets.networks import complexity
from mobilenets.networks.own_spec import is_own
from mobilenets.networks.spec import BackboneSpec, HasBackbone
from mobilenets.profiling import profile_table

EPILOG = examples(
    "mobilenets profile mobilenet_v2",
    "mobilenets profile mobilenet_v2 --width 0.5 --resolution 160 --num-classes 10",
    "mobilenets profile efficientnet_b0 --json",
    "mobilenets profile ssdlite_mobilenet_v2",
    "mobilenets profile runs/mine",
    "mobilenets profile mobilenet_v1 --width 0.25 --memory --batch 128",
)


def command(
    name: Annotated[
        str, typer.Argument(metavar="NETWORK", help=networks.NAME_OR_FOLDER)
    ],
    resolution: Annotated[
        int | None, typer.Option(help="Height and width of the input in pixels.")
    ] = None,
    width: Annotated[
        float | None, typer.Option(help="The width multiplier (channels).")
    ] = None,
    depth: Annotated[
        float | None, typer.Option(help="The depth multiplier (layers).")
    ] = None,
    num_classes: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Number of logits; 0 leaves them out. Default: that of the weights, "
            "1000 for the name of a classifier, 90 for that of a detector.",
        ),
    ] = None,
    memory: Annotated[
        bool,
        typer.Option("--memory", help="Print the memory of a training step instead."),
    ] = False,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,  # far below 2**31, where int32 counters of our loops end
            help="With --memory: images per update, over all devices.",
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="With --memory: float32 (default) or bfloat16."),
    ] = None,
    remat: Annotated[
        bool,
        typer.Option("--remat", help="With --memory: as with --config.remat=True."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the cost of a network block by block.

    Each row is the stem, a block or a part of the head. The expansion of a block is the
    width of its depthwise convolution (3x3 convolution in a ResNet) divided by the
    width of its input. SE is the width between the two layers of
    squeeze-and-excitation. The output is height x width x channels. MAdds are
    multiply-adds for one image. The memory is that of the activations: the outputs of
    all convolutions and dense layers of the row, for one image in float32.

    With --memory, prints XLA's analysis of the training step with the default
    optimizer, for the devices of this machine. The step is compiled but not run. Python
    and its libraries need memory in addition.
    """
    given = {
        "resolution": resolution,
        "width_multiplier": width,
        "depth_multiplier": depth,
    }
    given = {k: v for k, v in given.items() if v is not None}
    net = networks.network(name, **given)
    spec = net.spec
    if num_classes is None:
        num_classes = net.num_classes
    elif num_classes and isinstance(spec, BackboneSpec) and not memory:
        raise UserError(
            f"{name} is a backbone without logits: leave out --num-classes."
        )
    facts = {
        "name": name,
        "resolution": spec.resolution,
        "num_classes": num_classes,
    }
    size = f"{spec.resolution} x {spec.resolution} pixels"
    heading = f"{name}, {size}, {num_classes} classes"
    if memory:
        key = "spec" if is_own(name) else "name"
        model = given if net.folder else {key: name, **given}
        step = _step_memory(model, net.folder, num_classes, batch, dtype, remat)
        if as_json:
            print_json(facts | dataclasses.asdict(step))
        else:
            tables.print_memory(heading, step)
        return
    for option, value in {"--batch": batch, "--dtype": dtype, "--remat": remat}.items():
        if value:
            raise UserError(f"{option} applies to a training step: add --memory.")
    rows = profile_table.rows(spec, num_classes)
    if as_json:
        print_json(facts | _cost(spec, num_classes, rows))
    else:
        tables.print_profile(heading, rows)


def _cost(
    spec: BackboneSpec | HasBackbone,
    num_classes: int,
    rows: Sequence[profile_table.Row],
) -> dict[str, Any]:
    """The numbers of a network, in all and by row."""
    return {
        "parameters": complexity.params(spec, num_classes),
        "madds": complexity.madds(spec, num_classes),
        "activation_bytes": sum(row.activation_bytes for row in rows),
        "layers": [dataclasses.asdict(row) for row in rows],
    }


def _step_memory(
    model: dict[str, Any],
    init_from: str,
    num_classes: int,
    batch: int | None,
    dtype: str | None,
    remat: bool,
) -> Any:
    """See `memory_profile.of_training_step`."""
    if batch is None:
        raise UserError("--memory needs --batch, the images per update.")
    if not num_classes:
        raise UserError(
            "--memory profiles a training step, so --num-classes must not be 0."
        )
    prepare_jax()
    from mobilenets.profiling import memory_profile

    return memory_profile.of_training_step(
        model, num_classes, batch, dtype or "float32", remat, init_from, tell
    )
