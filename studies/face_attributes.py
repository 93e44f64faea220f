"""The shape of MobileNetV1's Table 12 on a desk: attributes of embedded collages.

Run in the root of the repository, where the package is installed:

    python -m studies.face_attributes FOLDER

A larger network is trained on the labels. It teaches MobileNetV1 at three widths and
two resolutions, once and for all of them: its outputs are kept. Everything is left in
FOLDER; the same command resumes. The picture and the table are written into docs/.
"""

import pathlib
import subprocess
import sys
from collections.abc import Sequence

from matplotlib.figure import Figure

from mobilenets.runs.metric_log import read_metrics
from mobilenets.sweeps import results
from studies.pages import DOCS, IMAGES, ROOT, with_tables

# All of MobileNetV3-Small at 64 pixels: 19 M MAdds, its students have 0.6 to 7.5.
TEACHER = (
    "--config.model.width_multiplier=1.0",
    "--config.batch_size=32",
    "--config.epochs=6",
    "--config.evaluate_every_epochs=6",
)


def run(*words: str) -> None:
    """A command as a user gives it.

    Raises:
      CalledProcessError: it has ended with an error, or was stopped.
    """
    subprocess.run([sys.executable, "-m", "mobilenets", *words], check=True, cwd=ROOT)


def sweep(folder: pathlib.Path, argument: str) -> list[results.Result]:
    """Runs the sweep; what it found for each network."""
    config = f"configs/sweeps/face_attributes.py:desk{argument}"
    run("sweep", "--config", config, "--workdir", str(folder), "--workers", "1")
    return results.Reader(results.open_folder(str(folder))).results()


def main(folder: pathlib.Path) -> None:
    """The teacher, the sweep, the picture and the table."""
    teacher = folder / "teacher"
    run(
        *("train", "--config", "multilabel_quickstart", "--workdir", str(teacher)),
        *TEACHER,
    )
    (of_teacher,) = [
        record["val/ema/mAP"]
        for record in read_metrics(teacher / "metrics.jsonl")
        if "val/ema/mAP" in record
    ]
    argument = f",teacher={teacher},outputs={folder / 'outputs'}"
    taught = sweep(folder / "taught", argument)
    draw(taught, of_teacher, IMAGES / "face_attributes.png")
    rows = [
        f"| {width(r):g} | {r.resolution} | {r.madds / 1e6:.1f} | "
        f"{r.parameters / 1e6:.2f} | {precision(r):.1f} |"
        for r in taught
    ]
    picture = "![Mean average precision against MAdds](../images/face_attributes.png)"
    header = "| width | pixels | MAdds, M | parameters, M | mAP, % |"
    table = "\n".join([header, "|--:|--:|--:|--:|--:|", *rows])
    table += f"\n\nThe teacher has {100 * of_teacher:.1f} % mAP."
    page = DOCS / "guides/face_attributes.md"
    page.write_text(with_tables(page.read_text(), f"{picture}\n\n{table}"))
    print(table)


def width(result: results.Result) -> float:
    """The width multiplier."""
    return result.values["model.width_multiplier"]


def precision(result: results.Result) -> float:
    """The mean average precision in percent."""
    assert result.accuracy is not None, "the sweep is not finished"
    return 100 * result.accuracy


def draw(
    taught: Sequence[results.Result], of_teacher: float, path: pathlib.Path
) -> None:
    """Mean average precision against MAdds, a line for each resolution."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    resolutions = sorted({r.resolution for r in taught})
    for resolution, color in zip(resolutions, ("#1f5fa8", "#c62828"), strict=True):
        line = [r for r in taught if r.resolution == resolution]
        madds, found = [r.madds / 1e6 for r in line], [precision(r) for r in line]
        axis.plot(madds, found, marker="o", color=color, label=f"{resolution} pixels")
        for r in line:
            axis.annotate(
                f"width {width(r):g}",
                (r.madds / 1e6, precision(r)),
                xytext=(6, -10),
                textcoords="offset points",
                fontsize=8,
            )
    axis.axhline(100 * of_teacher, color="#7a808a", linestyle="--", linewidth=1)
    axis.annotate("the teacher", (axis.get_xlim()[0], 100 * of_teacher), fontsize=8)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set(xlabel="million MAdds", ylabel="mean average precision, %")
    axis.set_title("MobileNetV1 taught the attributes of collages", loc="left")
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).absolute())
