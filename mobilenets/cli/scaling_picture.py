"""A plot of compound scaling. A module of its own, as matplotlib loads slowly."""

import dataclasses
import pathlib
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state
from matplotlib.ticker import LogLocator, NullLocator

from mobilenets.errors import UserError
from mobilenets.networks import complexity, scaling
from mobilenets.networks.architectures.efficientnet import RELEASED
from mobilenets.networks.scaling import Coefficients

LAST_PHI = 7  # EfficientNet-B7 is at about 7
BLUE, GREY, RED = "#1f5fa8", "#7a808a", "#c62828"


def draw_scaling(family: str, coefficients: Coefficients, path: pathlib.Path) -> None:
    """Draws depth, width, resolution and MAdds against phi, in four panels.

    For EfficientNet the released B0 to B7 are marked at phi = 0 to 7: as their
    multipliers were rounded by hand, they are not on the lines.

    Args:
      family: a key of `scaling.FAMILIES`.
      coefficients: alpha, beta and gamma.
      path: the PNG file to write.

    Raises:
      UserError: there is no such family, or the file cannot be written.
    """
    if path.suffix != ".png":
        raise UserError(f"The picture must be a .png file, but is {str(path)!r}.")
    phis = [i / 20 for i in range(20 * LAST_PHI + 1)]
    nets = [scaling.scaled_net(family, phi, coefficients) for phi in phis]
    variants = RELEASED if family == "efficientnet" else ()
    marks = [scaling.released(variant) for variant in variants]
    specs = [scaling.scaled_spec(family, mark) for mark in marks]

    figure = Figure(figsize=(9.6, 7.4), layout="constrained")
    depth, width, resolution, cost = figure.subplots(2, 2, sharex=True).flat
    lines = [net.multipliers for net in nets]
    _draw(depth, phis, [by.depth for by in lines], [by.depth for by in marks])
    _draw(width, phis, [by.width for by in lines], [by.width for by in marks])
    _draw(resolution, phis, [by.pixels for by in lines], [by.pixels for by in marks])
    madds = [net.madds / 1e9 for net in nets]
    _draw(cost, phis, madds, [complexity.madds(spec) / 1e9 for spec in specs])

    alpha, beta, gamma = dataclasses.astuple(coefficients)
    depth.set_title(rf"Depth: $d = {alpha:.4g}^\phi$", loc="left")
    depth.set_ylabel("times the layers of a stage")
    width.set_title(rf"Width: $w = {beta:.4g}^\phi$", loc="left")
    width.set_ylabel("times the channels of a layer")
    resolution.set_title(rf"Resolution: $r = {gamma:.4g}^\phi$", loc="left")
    resolution.set_ylabel("height and width of the input, pixels")
    cost.set_title("Multiply-adds of one image", loc="left")
    cost.set_ylabel("billion MAdds")
    cost.set_yscale("log")
    cost.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    cost.yaxis.set_major_formatter("{x:g}")
    cost.yaxis.set_minor_locator(NullLocator())
    cost.plot(
        phis,
        [madds[0] * coefficients.growth**phi for phi in phis],
        color=GREY,
        linestyle="--",
        label=rf"$\times\ {coefficients.growth:.3g}^\phi$, the target of Eq. 3",
    )
    cost.legend(frameon=False, loc="upper left")
    depth.legend(frameon=False, loc="upper left")
    for axis in (resolution, cost):
        axis.set_xlabel(r"$\phi$")
    figure.suptitle(
        f"{family}: depth, width, resolution and cost against the coefficient $\\phi$\n"
        "Tan and Le 2019, EfficientNet, arXiv:1905.11946, Eq. 3"
    )
    try:
        figure.savefig(path, dpi=100)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def _draw(
    axis: Axes, phis: Sequence[float], line: Sequence[float], marks: Sequence[float]
) -> None:
    """Draws the line of Eq. 3, and B0, B1, … at phi = 0, 1, …."""
    axis.plot(phis, line, color=BLUE, linewidth=2, label="by Eq. 3")
    axis.margins(y=0.1)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    if marks:
        axis.plot(
            range(len(marks)), marks, "o", color=RED, label="B0 to B7 as released"
        )
    for k, mark in enumerate(marks):
        axis.annotate(
            f"B{k}", (k, mark), (5, -12), textcoords="offset points", color=RED
        )
