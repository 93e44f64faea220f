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
        str, typer.Argument(help="The baseline: " + ", ".join(scaling.FAMILIES) + ".")
    ],
    phi: Annotated[
        float | None,
        typer.Option(
            help="Scaling coefficient: 0 is the baseline; each 1 about doubles MAdds."
        ),
    ] = None,
    along: Annotated[
        str, typer.Option(help="What to scale: " + ", ".join(scaling.METHODS) + ".")
    ] = "compound",
    alpha: Annotated[float | None, typer.Option(help="Depth is alpha ** phi.")] = None,
    beta: Annotated[float | None, typer.Option(help="Width is beta ** phi.")] = None,
    gamma: Annotated[
        float | None, typer.Option(help="Resolution is gamma ** phi.")
    ] = None,
    max_madds: Annotated[
        str | None, typer.Option(help="Budget of multiply-adds: 600M, 1.5G or 6e8.")
    ] = None,
    max_parameters: Annotated[
        str | None, typer.Option(help="Budget of parameters: 8M or 8000000.")
    ] = None,
    plot: Annotated[
        pathlib.Path | None,
        typer.Option(help="Also plot phi 0 to 7 to this PNG file.", metavar="FILE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Scale a network in depth, width and resolution.

    Uses Eq. 3 of the EfficientNet paper, arXiv:1905.11946. With --phi, prints the
    network at that phi. With a budget, prints the largest network within it. With
    neither, prints the networks for phi 0 to 7; for EfficientNet also the released B0
    to B7, whose multipliers were rounded by hand. Parameters and multiply-adds (MAdds)
    are exact, for 1000 classes and one image.
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
        raise UserError("Give --phi or a budget, not both: the budget determines phi.")
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
        print(f"Wrote {plot}.")


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
