"""EfficientNet's scaling study, small enough for a laptop.

Run in the root of the repository, where the package is installed:

    python -m studies.scaling_study FOLDER

Three sweeps one after the other: the search of alpha, beta and gamma (the paper's Sec.
4, step 1, arXiv:1905.11946), compound scaling against one dimension at equal MAdds (its
Figure 8), and the same for MobileNetV1, MobileNetV2 and a ResNet (its Table 3). They
are left in FOLDER, for `mobilenets report` to draw; the same command resumes. The
tables and the picture are written into docs/.
"""

import pathlib
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from configs.sweeps import alpha_beta_gamma, other_networks
from mobilenets.networks.scaling import Coefficients, Multipliers
from mobilenets.sweeps import results, study
from studies.pages import DOCS, IMAGES, with_tables

STYLES = {
    "baseline": {"color": "#7a808a", "marker": "x"},
    "compound": {"color": "#c62828", "marker": "o"},
    "depth": {"color": "#1f5fa8", "marker": "v"},
    "width": {"color": "#2e7d32", "marker": "s"},
    "resolution": {"color": "#8e6bbf", "marker": "D"},
    "chosen": {"color": "#e08214", "marker": "^"},
}

# Of a network: its MAdds, and its accuracy in percent with each seed.
Found = tuple[int, list[float]]


def main(folder: pathlib.Path) -> None:
    """All three sweeps, the tables and the picture."""
    points = alpha_beta_gamma.points()
    grid = dict(zip(points, run(folder / "grid", "alpha_beta_gamma.py"), strict=True))
    best = max(points, key=lambda point: statistics.mean(grid[point][1]))
    chosen = Coefficients(best.depth, best.width, best.resolution)
    argument = f":alpha={chosen.alpha},beta={chosen.beta},gamma={chosen.gamma}"

    keys = list(study.scaled("efficientnet", (1, 2, 3), chosen))
    found = run(folder / "compound", f"compound_scaling.py{argument}")
    compound = dict(zip(keys, found, strict=True))

    keys = [
        (family, *key)
        for family in other_networks.FAMILIES
        for key in study.scaled(family, (2,))
    ]
    found = run(folder / "others", "other_networks.py")
    others = dict(zip(keys, found, strict=True))

    draw(compound, others, IMAGES / "scaling_study.png")
    tables = "\n\n".join(
        [grid_table(grid, best), compound_table(compound), others_table(others)]
    )
    page = DOCS / "results/scaling_study.md"
    print(tables)
    page.write_text(with_tables(page.read_text(), tables))


def run(folder: pathlib.Path, sweep: str) -> list[Found]:
    """Runs a sweep as a user does; what it found for each network.

    Raises:
      SystemExit: the command has ended with an error, or was stopped.
    """
    words = ["sweep", "--config", f"configs/sweeps/{sweep}", "--workdir", str(folder)]
    # Ctrl-C reaches the command, too, which saves before it ends; then so do we.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    code = subprocess.call(
        [sys.executable, "-m", "mobilenets", *words, "--workers", "2"]
    )
    signal.signal(signal.SIGINT, before)
    if code:
        sys.exit(code)
    found = results.Reader(results.open_folder(str(folder))).results()
    by_network: dict[str, list[results.Result]] = {}  # the same with every seed
    for result in found:
        values = {k: v for k, v in result.values.items() if k != "seed"}
        by_network.setdefault(str(values), []).append(result)
    return [
        (of_network[0].madds, [100 * (r.accuracy or 0) for r in of_network])
        for of_network in by_network.values()
    ]


def grid_table(grid: Mapping[Multipliers, Found], best: Multipliers) -> str:
    """A row for each alpha, beta and gamma, the best one in bold."""
    rows = []
    for point, (madds, accuracies) in sorted(
        grid.items(), key=lambda item: -statistics.mean(item[1][1])
    ):
        values = [point.depth, point.width, point.resolution]
        cells = [*(f"{v:.3g}" for v in values), millions(madds), in_words(accuracies)]
        rows.append([f"**{cell}**" for cell in cells] if point == best else cells)
    return table(["alpha", "beta", "gamma", "MAdds (M)", "top-1 (%)"], rows)


def compound_table(found: Mapping[tuple[str, int], Found]) -> str:
    """A row for each phi, a column for each way to scale."""
    madds, accuracies = found["baseline", 0]
    rows = [["0", f"{in_words(accuracies)} at {millions(madds)} M"]]
    methods = [method for method, phi in found if phi == 1]
    for phi in (1, 2, 3):
        row = [str(phi)]
        for method in methods:
            madds, accuracies = found[method, phi]
            row.append(f"{in_words(accuracies)} at {millions(madds)} M")
        rows.append(row)
    return table(["phi", *methods], rows)


def others_table(found: Mapping[tuple[str, str, int], Found]) -> str:
    """A row for each network and way to scale."""
    rows = [
        [family, method, millions(madds), in_words(accuracies)]
        for (family, method, _), (madds, accuracies) in found.items()
    ]
    return table(["network", "scaled in", "MAdds (M)", "top-1 (%)"], rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown, numbers to the right."""
    lines = [header, ["--:"] * len(header), *rows]
    full = [[*line, *[""] * (len(header) - len(line))] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in full)


def in_words(accuracies: Sequence[float]) -> str:
    """The mean over the seeds, and how far they are apart.

    >>> in_words([88.0, 89.0]), in_words([88.0])
    ('88.5 (88.0 to 89.0)', '88.0')
    """
    mean = f"{statistics.mean(accuracies):.1f}"
    if len(accuracies) == 1:
        return mean
    return f"{mean} ({min(accuracies):.1f} to {max(accuracies):.1f})"


def millions(madds: int) -> str:
    """With two digits after the point."""
    return f"{madds / 1e6:.2f}"


def draw(
    compound: Mapping[tuple[str, int], Found],
    others: Mapping[tuple[str, str, int], Found],
    path: pathlib.Path,
) -> None:
    """Accuracy against MAdds, the paper's Figure 8; and the other networks."""
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    for method in (method for method, phi in compound if phi == 1):
        line = [compound["baseline", 0]] + [compound[method, phi] for phi in (1, 2, 3)]
        draw_line(left, line, label=method, **STYLES[method])
    left.set_xscale("log", base=2)
    left.xaxis.set_major_formatter("{x:g}")
    left.set(xlabel="million MAdds", ylabel="top-1 of 1,000 validation images, %")
    left.set_title("A small EfficientNet, phi = 0 to 3", loc="left")
    left.legend(frameon=False)
    families = other_networks.FAMILIES
    for (family, method, _), (_, accuracies) in others.items():
        at = families.index(family) + 0.12 * (list(STYLES).index(method) - 2)
        draw_line(right, [(0, accuracies)], at=at, **STYLES[method])
    for method in dict.fromkeys(method for _, method, _ in others):
        right.plot([], [], linestyle="", label=method, **STYLES[method])
    right.set_xticks(range(len(families)), families)
    right.set_title("The others at four times their MAdds", loc="left")
    right.legend(frameon=False, loc="lower right")
    for axis in (left, right):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"Mean of {len(study.SEEDS)} seeds; the bars reach from the worst to the best"
    )
    figure.savefig(path, dpi=110)


def draw_line(
    axis: Axes, line: Sequence[Found], at: float | None = None, **style: str
) -> None:
    """Means with bars from the lowest to the highest, at their MAdds or elsewhere."""
    x = [at if at is not None else madds / 1e6 for madds, _ in line]
    means = [statistics.mean(accuracies) for _, accuracies in line]
    reach = [
        [mean - min(found) for mean, (_, found) in zip(means, line, strict=True)],
        [max(found) - mean for mean, (_, found) in zip(means, line, strict=True)],
    ]
    axis.errorbar(x, means, yerr=reach, capsize=3, **style)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).absolute())
