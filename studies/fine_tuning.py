"""Fine-tunes EfficientNet-Lite0 on 200 images, from its weights and from random ones.

Run in the root of the repository, where the package is installed:

    python -m studies.fine_tuning FOLDER

About five minutes on two cores. Everything is left in FOLDER; the picture and the table
are written into docs/. The images are the first 20 of each class of the embedded
Fashion-MNIST subset, as a folder of PNG files; validation has 200 others.
"""

import pathlib
import subprocess
import sys

import jax
from matplotlib.figure import Figure

from mobilenets.config.schema import NamedDataset
from mobilenets.data.sources.opening import open_source
from mobilenets.inference import trained
from mobilenets.nn.initialization import init_variables
from mobilenets.pretrained import importing
from mobilenets.runs.metric_log import read_metrics
from studies.pages import DOCS, IMAGES, ROOT, with_tables

IMAGES_A_CLASS = 20

# What is drawn: the weights, the trained stages, the label and the line.
RUNS = (
    ("pretrained", 1, "pretrained, last stage trained", {"color": "#1f5fa8"}),
    ("pretrained", 0, "pretrained, logits alone", {"color": "#1f5fa8", "ls": "--"}),
    ("random", -1, "random, everything trained", {"color": "#7a808a"}),
    ("random", 1, "random, last stage trained", {"color": "#c62828"}),
    ("random", 0, "random, logits alone", {"color": "#c62828", "ls": "--"}),
)


def make_images(folder: pathlib.Path) -> None:
    """The first images of each class, as SPLIT/CLASS/*.png."""
    for split in ("train", "validation"):
        source = open_source(NamedDataset(name="fashion_mnist_subset"), split)
        written = dict.fromkeys(source.names, 0)
        for i in range(len(source)):
            record = source[i]
            name = source.names[record.target]
            if written[name] < IMAGES_A_CLASS:
                written[name] += 1
                path = folder / split / name.replace("/", "-") / f"{i:04}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(record.image)


def make_weights(folder: pathlib.Path) -> None:
    """EfficientNet-Lite0's weights, and random ones of the same network."""
    net = importing.fetch("efficientnet_lite0")
    trained.save(net, str(folder / "pretrained"))
    random = jax.device_get(init_variables(net.model, jax.random.key(0)))
    trained.save(trained.TrainedNet(net.description, random), str(folder / "random"))


def train(folder: pathlib.Path, weights: str, trainable_stages: int) -> list[dict]:
    """One run as a user starts it; what it logged."""
    workdir = folder / f"runs/{weights}_{trainable_stages}"
    command = [
        *(sys.executable, "train.py", "--config", "configs/finetune.py"),
        *("--workdir", str(workdir)),
        f"--config.init_from={folder / weights}",
        f"--config.dataset.folder={folder / 'images'}",
        f"--config.trainable_stages={trainable_stages}",
        "--config.model.resolution=96",
        "--config.augmentation.random_crop.min_area=0.8",
    ]
    subprocess.run(command, check=True, cwd=ROOT)
    return read_metrics(workdir / "metrics.jsonl")


def main(folder: pathlib.Path) -> None:
    """All runs, the picture and the table."""
    if not (folder / "images").exists():
        make_images(folder / "images")
        make_weights(folder)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axis = figure.subplots()
    lines = ["| from | trained | top-1 after 125 steps |", "|---|---|--:|"]
    for weights, stages, label, style in RUNS:
        records = [
            record
            for record in train(folder, weights, stages)
            if "val/raw/top1" in record
        ]
        steps = [record["step"] for record in records]
        top1 = [100 * record["val/raw/top1"] for record in records]
        axis.plot(steps, top1, label=label, **style)
        lines.append(f"| {label.replace(', ', ' | ')} | {top1[-1]:.1f} % |")
    axis.axhline(10, color="black", linewidth=0.8, linestyle=":")
    axis.set(xlabel="step", ylabel="top-1 of 200 validation images, %", ylim=(0, 100))
    axis.set_title("EfficientNet-Lite0 fine-tuned on 200 images of clothes, 96 pixels")
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="upper left", ncols=2, fontsize=9)
    figure.savefig(IMAGES / "fine_tuning.png", dpi=110)
    page = DOCS / "results/fine_tuning.md"
    page.write_text(with_tables(page.read_text(), "\n".join(lines)))
    print("\n".join(lines))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).absolute())
