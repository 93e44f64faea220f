"""Fine-tunes a detector and a segmenter on 100 scenes, pretrained and random.

Run in the root of the repository, where the package is installed:

    python -m studies.dense_fine_tuning FOLDER

Both are on EfficientNet-Lite0's backbone, pretrained on ImageNet or random. The scenes
are the first of the quick starts' (`mobilenets.data.sources.scenes`), as COCO JSON.
Everything is left in FOLDER, and what is finished is not trained again; the table is
written into docs/.
"""

import json
import pathlib
import shutil
import subprocess
import sys

from mobilenets.config.schema import NamedDataset
from mobilenets.data.sources import scenes
from mobilenets.data.sources.opening import open_source
from mobilenets.runs.metric_log import read_metrics
from studies.fine_tuning import make_weights
from studies.pages import DOCS, ROOT, with_tables

SCENES = 100  # in each split

# The config, and the logged metrics with their names.
TASKS = {
    "ssdlite_finetune": {"val/AP": "AP", "val/AP50": "AP50"},
    "segmentation_finetune": {
        "val/mIoU": "mIoU",
        "val/pixel_accuracy": "pixel accuracy",
    },
}


def make_scenes(folder: pathlib.Path) -> None:
    """The first scenes of each split, as SPLIT/*.jpg and annotations/."""
    garments = {
        split: open_source(NamedDataset(name="fashion_mnist_subset"), split)
        for split in scenes.SIZES
    }
    whole = pathlib.Path(scenes.folder_of_scenes(garments))
    (folder / "annotations").mkdir(parents=True)
    for split in scenes.SIZES:
        file = f"annotations/instances_{split}.json"
        content = json.loads((whole / file).read_text())
        content["images"] = content["images"][:SCENES]
        kept = {image["id"] for image in content["images"]}
        content["annotations"] = [
            one for one in content["annotations"] if one["image_id"] in kept
        ]
        (folder / file).write_text(json.dumps(content))
        (folder / split).mkdir()
        for image in content["images"]:
            name = f"{split}/{image['file_name']}"
            shutil.copyfile(whole / name, folder / name)


def train(folder: pathlib.Path, config: str, weights: str) -> dict:
    """One run as a user starts it; its last evaluation."""
    workdir = folder / f"runs/{config}_{weights}"
    command = [
        *(sys.executable, "train.py", "--config", config, "--workdir", str(workdir)),
        f"--config.init_from={folder / weights}",
        f"--config.dataset.folder={folder / 'scenes'}",
        "--config.model.resolution=160",
        "--config.batch_size=16",
        "--config.epochs=30",
        "--config.evaluate_every_epochs=30",
    ]
    subprocess.run(command, check=True, cwd=ROOT)
    return read_metrics(workdir / "metrics.jsonl")[-1]


def main(folder: pathlib.Path) -> None:
    """All runs and the table."""
    if not (folder / "scenes").exists():
        make_scenes(folder / "scenes")
        make_weights(folder)
    lines = ["| config | weights | raw | averaged |", "|---|---|--:|--:|"]
    for config, metrics in TASKS.items():
        for weights in ("pretrained", "random"):
            found = train(folder, config, weights)
            cells = [
                ", ".join(
                    f"{100 * found[name.replace('/', f'/{kind}/')]:.1f} % {label}"
                    for name, label in metrics.items()
                )
                for kind in ("raw", "ema")
            ]
            lines.append(f"| `{config}` | {weights} | {' | '.join(cells)} |")
    page = DOCS / "results/fine_tuning.md"
    page.write_text(with_tables(page.read_text(), "\n".join(lines), "dense tables"))
    print("\n".join(lines))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).absolute())
