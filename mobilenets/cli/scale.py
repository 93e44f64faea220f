"""`mobilenets scale`."""

import dataclasses
import math
import pathlib
from typing import Annotated

import typer

from mobilenets.cli import scaling_table, tables
from mobilenets.cli.command_line import Json, examples, print_json
from mobilenets.errors import UserError
from mobilenets.networks import scaling

EPILOG = examples(
    "mobilenets scale efficientnet",
    "mobilenets scale efficientnet --phi 2.5",
    "mobilenets scale mobilenet_v2 --along width --phi 2",
    "mobilenets scale efficientnet --max-madds 600M --max-parameters 8M",
    "mobilenets scale efficientnet --plot scaling.png",
)


def command(
    family: Annotated[
        str, typer.Argument(help="What to scale: " + ", ".join(scaling.FAMILIES) + ".")
    ],
    phi: Annotated[
        float | None,
        typer.Option(
            help="How far: 0 is the baseline, each 1 about doubles its MAdds."
        ),
    ] = None,
    along: Annotated[
        str, typer.Option(help="What grows: " + ", ".join(scaling.METHODS) + ".")
    ] = "compound",
    alpha: Annotated[
        float | None, typer.Option(help="Depth is alpha to the power of phi.")
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Width is beta to the power of phi.")
    ] = None,
    gamma: Annotated[
        float | None, typer.Option(help="Resolution is gamma to the power of phi.")
    ] = None,
    max_madds: Annotated[
        str | None, typer.Option(help="Budget of multiply-adds: 600M, 1.5G or 6e8.")
    ] = None,
    max_parameters: Annotated[
        str | None, typer.Option(help="Budget of parameters: 8M or 8000000.")
    ] = None,
    plot: Annotated[
        pathlib.Path | None,
        typer.Option(help="A PNG file to draw phi 0 to 7 into.", metavar="FILE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Scales a baseline in depth, width and resolution.

    By Eq. 3 of the EfficientNet paper, arXiv:1905.11946. With --phi, the network there;
    with a budget, the largest network within it; with neither, the networks of phi 0 to
    7, for EfficientNet beside the released B0 to B7, whose multipliers were rounded by
    hand. Parameters and multiply-adds (MAdds) are exact, for 1000 classes and one
    image.
    """
    given = {"alpha": alpha, "beta": beta, "gamma": gamma}
    coefficients = dataclasses.replace(
        scaling.method(along), **{k: v for k, v in given.items() if v is not None}
    )
    budget = {
        "max_madds": _number("--max-madds", max_madds),
        "max_params": _number("--max-parameters", max_parameters),
    }
    has_budget = any(limit is not None for limit in budget.values())
    if phi is not None and has_budget:
        raise UserError("Give --phi or a budget, not both: a budget finds its phi.")
    if has_budget:
        net = scaling.largest(family, coefficients, **budget)
        report = scaling_table.one(family, net)
    elif phi is not None:
        net = scaling.scaled_net(family, phi, coefficients)
        report = scaling_table.one(family, net)
    else:
        report = scaling_table.series(family, coefficients)
    if plot:
        from mobilenets.cli.scaling_picture import draw_scaling

        draw_scaling(family, coefficients, plot)
    if as_json:
        print_json(report.as_json())
        return
    tables.print_scaling(report)
    if plot:
        print(f"Drawn in {plot}.")


UNITS = {"K": 1e3, "M": 1e6, "G": 1e9}


def _number(option: str, text: str | None) -> float | None:
    """The number that "600M", "1.5G", "6e8" or "600000000" stands for."""
    if text is None:
        return None
    unit = UNITS.get(text[-1:].upper())
    try:
        number = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UserError(
            f"{option} must be a number above 0, such as 600M, 1.5G or 6e8, but is "
            f"{text!r}."
        )
    return number
