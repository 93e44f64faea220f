"""What 8 bits cost: small networks of several kinds, trained here and then exported.

Run in the root of the repository, where the package is installed with both extras:

    python -m studies.int8_accuracy FOLDER

The classifiers train on the quick start's images for six epochs; the detector and the
segmenter are the quick starts'. Each is exported to both formats with 8 bits, on 256
images of its training, and evaluated on all of its evaluation set. About half an hour
on two cores. Everything is left in FOLDER, and what is finished is not made again; the
table is written into docs/.
"""

import dataclasses
import pathlib
import subprocess
import sys

from mobilenets.config.schema import NamedDataset
from mobilenets.data.sources.base import Labels
from mobilenets.data.sources.opening import open_source
from mobilenets.export import formats, record
from studies.pages import DOCS, ROOT, with_tables

CALIBRATION_IMAGES = 256
# What the images to calibrate are taken from, and how it is opened.
DATASETS: dict[str, Labels] = {
    "fashion_mnist_subset": "class",
    "fashion_scenes": "boxes",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """A training.

    Args:
      name: as the table has it.
      config: that it begins with.
      dataset: the config's, from which the images to calibrate are taken.
      metric: that is compared, by its name in the record and in the table.
      values: of the config that are others.
    """

    name: str
    config: str
    dataset: str
    metric: tuple[str, str]
    values: tuple[str, ...] = ()


def classifier(name: str, width: float) -> Run:
    """A network of the quick start's kind."""
    values = (f"model.name={name}", f"model.width_multiplier={width}", "epochs=6")
    metric = ("top1", "top-1")
    return Run(name, "quickstart", "fashion_mnist_subset", metric, values)


RUNS = (
    classifier("mobilenet_v1", 0.25),
    classifier("mobilenet_v2", 0.35),
    classifier("mobilenet_v3_small", 0.5),
    classifier("efficientnet_b0", 0.25),
    classifier("efficientnet_lite0", 0.25),
    Run(
        "SSDLite on `mobilenet_v3_small`",
        "ssdlite_quickstart",
        "fashion_scenes",
        ("AP", "AP"),
    ),
    Run(
        "LR-ASPP on `mobilenet_v3_small`",
        "lraspp_quickstart",
        "fashion_scenes",
        ("mIoU", "mIoU"),
    ),
)


def make_images(folder: pathlib.Path, dataset: str) -> None:
    """The first images of the training, to calibrate with."""
    partial = folder.with_name(f"{folder.name}_partial")
    partial.mkdir(parents=True, exist_ok=True)
    source = open_source(NamedDataset(name=dataset), "train", DATASETS[dataset])
    for i in range(CALIBRATION_IMAGES):
        (partial / f"{i:04}.png").write_bytes(source[i].image)
    partial.rename(folder)


def mobilenets(*words: str) -> None:
    """Runs a command as a user types it."""
    subprocess.run([sys.executable, "-m", "mobilenets", *words], check=True, cwd=ROOT)


def exported(folder: pathlib.Path, run: Run, file_format: str) -> record.Record:
    """The record of a run's file, which is written if it is not there."""
    workdir = folder / f"runs/{run.config}_{run.name.split()[-1].strip('`')}"
    file = folder / f"{workdir.name}.{file_format}"
    if not file.exists():
        values = (f"--config.{value}" for value in run.values)
        mobilenets(
            *("train", "--config", run.config, "--workdir", str(workdir), *values)
        )
        mobilenets(
            *("export", "--weights", str(workdir), "--format", file_format),
            *("--output", str(file), "--int8", "--evaluate"),
            *("--calibration", str(folder / run.dataset)),
        )
    return record.read(file, file.read_bytes())


def row(folder: pathlib.Path, run: Run) -> str:
    """A network's line of the table."""
    found = [exported(folder, run, name) for name in ("onnx", "litert")]
    metric, shown = run.metric
    agreements = []
    cells = [run.name if " " in run.name else f"`{run.name}`", shown]
    for one in found:
        assert one.evaluation is not None and one.parity.agreement is not None
        in_jax, in_file = (
            metrics[metric] for metrics in one.evaluation.results["val"].values()
        )
        if one is found[0]:
            cells.append(f"{100 * in_jax:.1f} %")
        cells.append(f"{100 * in_file:.1f} %")
        agreements.append(f"{100 * one.parity.agreement:.1f} %")
    return f"| {' | '.join(cells + agreements)} |"


def main(folder: pathlib.Path) -> None:
    """All runs, files and the table."""
    for dataset in DATASETS:
        if not (folder / dataset).exists():
            make_images(folder / dataset, dataset)
    titles = [formats.FORMATS[name].title for name in ("onnx", "litert")]
    heads = ["network", "", "JAX, float32", *(f"{title}, int8" for title in titles)]
    heads += [f"same class, {title}" for title in titles]
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "--:|" * (len(heads) - 2)]
    lines += [row(folder, run) for run in RUNS]
    page = DOCS / "guides/export.md"
    page.write_text(with_tables(page.read_text(), "\n".join(lines), "int8 tables"))
    print("\n".join(lines))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).absolute())
