"""The picture of a benchmark: a bar for each peer, and a line where ours stands."""

import pathlib
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks.sides import OURS, SIDES, WITH_OUR_MEMORY
from benchmarks.summary import Row, ratio_text

COLOURS = {
    "flax": "#7a808a",
    "torch": "#c62828",
    "torch_jit": "#ef8a62",
    "torch_compile": "#8e24aa",
    "torch_amp": "#ce93d8",
    "torchvision": "#d84315",
    "tensorflow": "#f9a825",
    "keras_tensorflow": "#1f5fa8",
    "keras_jax": "#7fb2dd",
    "litert": "#2e7d32",
    "ours_workers": "#5d4037",
    "ours_bfloat16": "#000000",
    "litert_file": "#2e7d32",
    "onnx_file": "#00838f",
}
HATCH = "////"  # of a peer with our memory settings
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
DECADES = TICKS[::3]
WIDEST = 300  # times the lowest: beyond, there is room for the decades alone
MOST_NUMBERS = 60  # more bars than that in a panel leave no room for their numbers

# What a bar stands for: case, side and ratio.
Bar = tuple[str, str, float]


def draw(title: str, rows: Sequence[Row], path: pathlib.Path) -> None:
    """Draws the ratios to ours; sides without a result have no bar.

    Args:
      title: above everything.
      rows: the results, at least one of them with a ratio.
      path: the PNG file to write.
    """
    panels = {
        name: _bars([row for row in rows if row.panel == name], lambda row: row.ratio)
        for name in dict.fromkeys(row.panel for row in rows)
    }
    panels["peak memory"] = _bars(rows, lambda row: row.memory_ratio)
    panels = {name: bars for name, bars in panels.items() if bars}
    most = max(map(len, panels.values()))
    figure = Figure(
        figsize=(5.2 * max(2, len(panels)), 1.8 + 0.26 * most),
        layout="constrained",
    )
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (name, bars) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, name, bars)
    drawn = {side for bars in panels.values() for _, side, _ in bars}
    handles = [
        Patch(**_look(side), label=SIDES[side].label) for side in SIDES if side in drawn
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


def _look(side: str) -> dict[str, str]:
    """The colour of a side's bars, and their hatch."""
    peer = side.removesuffix(WITH_OUR_MEMORY)
    hatch = HATCH if side != peer else ""
    return {"facecolor": COLOURS[peer], "edgecolor": "white", "hatch": hatch}


def _bars(rows: Sequence[Row], ratio: Callable[[Row], float | None]) -> list[Bar]:
    return [
        (row.case, row.side, value)
        for row in rows
        if row.side != OURS and (value := ratio(row)) is not None
    ]


def _draw_panel(axis: Axes, name: str, bars: Sequence[Bar]) -> None:
    """The bars from the top down, a gap between two cases."""
    places, place = [], 0.0
    for i, (case, _, _) in enumerate(bars):
        place += 1.0 if i == 0 or bars[i - 1][0] == case else 1.7
        places.append(place)
    ratios = [ratio for _, _, ratio in bars]
    # On a logarithmic axis twice as fast and half as fast are as long.
    for place, (_, side, ratio) in zip(places, bars, strict=True):
        axis.barh(place, ratio - 1, left=1, height=0.8, **_look(side))
    axis.set_xscale("log")
    lowest, highest = min(0.5, min(ratios) / 2), max(2.0, max(ratios) * 2)
    axis.set_xlim(lowest, highest)
    is_wide = highest / lowest > WIDEST
    axis.xaxis.set_major_locator(FixedLocator(DECADES if is_wide else TICKS))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter("{x:g}")
    axis.axvline(1, color="black", linewidth=1.2)
    axis.invert_yaxis()
    cases: dict[str, list[float]] = {}
    for (case, _, _), where in zip(bars, places, strict=True):
        cases.setdefault(case, []).append(where)
    axis.set_yticks([sum(w) / len(w) for w in cases.values()], list(cases))
    axis.tick_params(axis="y", length=0, labelsize=9)
    axis.grid(axis="x", alpha=0.25)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_title(name, loc="left", fontsize=11)
    axis.set_xlabel("the other's / ours (above 1: ours is better)", fontsize=9)
    if len(bars) <= MOST_NUMBERS:
        _write_numbers(axis, places, ratios)


def _write_numbers(
    axis: Axes, places: Sequence[float], ratios: Sequence[float]
) -> None:
    """Each ratio at the end of its bar."""
    for place, ratio in zip(places, ratios, strict=True):
        axis.annotate(
            ratio_text(ratio),
            (ratio, place),
            (4 if ratio >= 1 else -4, 0),
            textcoords="offset points",
            ha="left" if ratio >= 1 else "right",
            va="center",
            fontsize=8,
        )
