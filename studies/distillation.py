"""A student with 500 labels, and what a teacher and 5,500 images without labels add.

Run in the root of the repository, where the package is installed:

    python -m studies.distillation FOLDER

Everything is left in FOLDER; the same command resumes. The table is written into
docs/guides/distillation.md. The images are the embedded clothes, as PNG files. The
teacher is trained on the labels of all 6,000. Its students are smaller, and see 500 of
the labels, or none.
"""

import pathlib
import statistics
import sys
from typing import Any

from mobilenets import api
from mobilenets.config.schema import NamedDataset
from mobilenets.data.sources.opening import open_source
from mobilenets.runtime.start_up import prepare_jax
from studies.pages import DOCS, with_tables

SEEDS = (0, 1, 2)
STEPS, BATCH = 600, 64

# The folders, and how many of the 6,000 images to train have a label in each. The
# others lie beside the classes, or are left out.
FOLDERS = {"labels": 6000, "few_labels": 500, "partly_labelled": 500}
WITH_UNLABELLED = "partly_labelled"

# Short MobileNetV1s with the recipe of the quick start, less strict. All have as many
# steps: enough for a student to learn 500 images by heart.
MODEL = {
    "name": "mobilenet_v1",
    "depth_multiplier": 0.34,
    "stem_stride": 1,
    "dropout_rate": 0.0,
    "bn_momentum": 0.9,
}
TEACHER = MODEL | {"width_multiplier": 0.5, "resolution": 28}
STUDENT = MODEL | {"width_multiplier": 0.25, "resolution": 24}
# What is compared: the images to train, and the weight of labels beside a teacher.
ARMS = (
    ("500 labels alone", "few_labels", None),
    ("500 labels, and the teacher's outputs for 6,000 images", WITH_UNLABELLED, 0.3),
    ("the teacher's outputs for 6,000 images alone", WITH_UNLABELLED, 0.0),
)


def write_images(folder: pathlib.Path) -> None:
    """All of `FOLDERS`, with the same images to evaluate."""
    for split in ("train", "validation"):
        source = open_source(NamedDataset(name="fashion_mnist_subset"), split)
        for i in range(len(source)):
            record = source[i]
            assert isinstance(record.image, bytes)  # PNG
            name = source.names[int(record.target)].replace("/", "-")
            for root, labelled in FOLDERS.items():
                place = folder / root / split
                if split == "validation" or i < labelled:
                    place /= name
                elif root != WITH_UNLABELLED:
                    continue
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{i:04}.png").write_bytes(record.image)


def train(
    workdir: pathlib.Path,
    images: pathlib.Path,
    steps: int,
    model: dict[str, Any],
    **values: Any,
) -> float:
    """The top-1 of a run's averaged weights, in percent; evaluated at its end alone."""
    to_train = FOLDERS[images.name] if images.name != WITH_UNLABELLED else 6000
    epochs = steps * BATCH / to_train
    config = api.load_config(
        "quickstart",
        {
            "model": model,
            "optimizer.weight_decay": 0.1,
            "dataset.folder": str(images),
            "batch_size": BATCH,
            "epochs": epochs,
            "evaluate_every_epochs": epochs,
            **values,
        },
    )
    return 100 * api.train(config, str(workdir))["val"]["ema"]["top1"]


def main(folder: pathlib.Path) -> None:
    """The teacher, all students, and the table."""
    prepare_jax()
    images, teacher = folder / "images", folder / "teacher"
    if not images.exists():
        write_images(folder / "unfinished")
        (folder / "unfinished").rename(images)
    of_teacher = train(teacher, images / "labels", STEPS, TEACHER)
    rows = [
        "| trained on | top-1, % (each seed) | gain of each seed |",
        "|---|--:|--:|",
    ]
    rows.append(f"| the teacher: 6,000 labels | {of_teacher:.1f} | |")
    alone: list[float] = []
    for arm, (name, root, label_weight) in enumerate(ARMS):
        taught: dict[str, Any] = {}
        if label_weight is not None:
            taught["teacher"] = str(teacher)
            taught["distillation.label_weight"] = label_weight
        found = [
            train(
                folder / f"{arm}_{seed}",
                images / root,
                STEPS,
                STUDENT,
                seed=seed,
                **taught,
            )
            for seed in SEEDS
        ]
        alone = alone or found
        gains = [f"{a - b:+.1f}" for a, b in zip(found, alone, strict=True)]
        each = ", ".join(f"{top1:.1f}" for top1 in found)
        mean = f"{statistics.mean(found):.1f} ({each})"
        rows.append(f"| {name} | {mean} | {', '.join(gains) if arm else ''} |")
    page = DOCS / "guides/distillation.md"
    page.write_text(with_tables(page.read_text(), "\n".join(rows)))
    print("\n".join(rows))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).absolute())
