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
# # Width and resolution
#
# MobileNetV1 (Howard et al. 2017, [arXiv:1704.04861](https://arxiv.org/abs/1704.04861),
# Sec. 3.3 and 3.4) has two hyperparameters that turn one network into many: the width
# multiplier $\alpha$ and the resolution. MobileNetV2 (Sandler et al. 2018,
# [arXiv:1801.04381](https://arxiv.org/abs/1801.04381), Sec. 4) keeps both. This
# notebook shows what they cost and what the rounding of channels does, and trains two
# widths.

# %%
"""Everything is counted from specs, but for the two short trainings at the end."""

import pathlib
import tempfile

import matplotlib.pyplot as plt
import numpy as np
from IPython.utils.capture import capture_output

from mobilenets import get_spec
from mobilenets.config.schema import (
    AdamW,
    Configuration,
    Cosine,
    Flip,
    NamedDataset,
    Preprocessing,
    RandomCrop,
)
from mobilenets.networks import complexity
from mobilenets.networks.spec import make_divisible
from mobilenets.runs.metric_log import read_metrics
from mobilenets.runtime import start_up
from mobilenets.tasks.registry import make_task
from mobilenets.training import loop

BLUE, ORANGE, GREEN, RED, GREY = "#1f5fa8", "#d9822b", "#2e8b57", "#c62828", "#7a808a"
start_up.prepare_jax()  # keeps what is compiled, and quiets libraries
plt.rcParams.update(
    {
        "figure.dpi": 80,
        "figure.constrained_layout.use": True,
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "grid.alpha": 0.25,
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## Where the cost is
#
# MobileNetV1's Table 2: nearly all multiply-adds (MAdds) and most parameters are in the
# 1x1 convolutions. A multiplier of the channels enters a 1x1 convolution twice, so it
# has a large effect.


# %%
def part(layer):
    """The row of Table 2 that a layer belongs to."""
    if layer.operator == "dense":
        return "logits"
    if layer.operator == "depthwise":
        return "depthwise 3x3"
    return "1x1" if layer.kernel_size == 1 else "stem 3x3"


def shares(spec, value):
    """The sum of a value over the layers of each part."""
    sums = dict.fromkeys(("1x1", "depthwise 3x3", "stem 3x3", "logits"), 0)
    for layer in complexity.layers(spec):
        sums[part(layer)] += value(layer)
    return sums


spec = get_spec("mobilenet_v1")
madds = shares(spec, lambda layer: layer.madds)
params = shares(spec, lambda layer: layer.params)
print("MobileNetV1     MAdds  parameters")
for name in madds:
    by_madds, by_params = (
        madds[name] / sum(madds.values()),
        params[name] / sum(params.values()),
    )
    print(f"{name:<13} {by_madds:7.2%}     {by_params:7.2%}")

# %% [markdown]
# ## Width
#
# The cost of a layer with $M$ inputs and $N$ outputs on a map of side $D_F$ is
# (Sec. 3.3)
#
# $$D_K^2 \cdot \alpha M \cdot D_F^2 + \alpha M \cdot \alpha N \cdot D_F^2,$$
#
# where the second term, the 1x1 convolution, grows with $\alpha^2$.

# %%
widths = [round(0.2 + 0.05 * i, 2) for i in range(25)]
figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.2))
counts = (
    ("million MAdds", complexity.madds),
    ("million parameters", complexity.params),
)
for axis, (label, count) in zip(axes, counts, strict=True):
    for name, color in (("mobilenet_v1", BLUE), ("mobilenet_v2", RED)):
        values = [count(get_spec(name, width_multiplier=w)) / 1e6 for w in widths]
        full = count(get_spec(name)) / 1e6
        axis.plot(widths, values, color=color, marker="o", markersize=3, label=name)
        axis.plot(widths, [full * w**2 for w in widths], color=color, linestyle=":")
    axis.set(xlabel=r"width multiplier $\alpha$", ylabel=label, ylim=0)
    axis.legend()
axes[0].set_title(r"MAdds, and $\alpha^2$ dotted")
axes[1].set_title(r"Parameters, and $\alpha^2$ dotted")
plt.show()

# %% [markdown]
# The MAdds of MobileNetV1 follow the square. Those of MobileNetV2 follow it in jumps,
# which are explained below. Parameters shrink more slowly: below a width of 1
# MobileNetV2 keeps the 1280 channels of its last convolution (Sec. 4, "Trade-off hyper
# parameters"), and so all of its logits. They become most of a narrow network:

# %%
widths = [0.35, 0.5, 0.75, 1.0, 1.4]
sums = []
for width in widths:
    layers = complexity.layers(get_spec("mobilenet_v2", width_multiplier=width))
    of = {layer.name: layer.params / 1e6 for layer in layers}
    head, logits = of["head_conv"], of["logits"]
    sums.append((sum(of.values()) - head - logits, head, logits))

figure, axis = plt.subplots(figsize=(7.2, 3.8))
bottom = np.zeros(len(widths))
labels = (
    "stem and blocks",
    "last 1x1 convolution, 1280 channels",
    "logits, 1000 classes",
)
for values, label, color in zip(
    np.transpose(sums), labels, (RED, ORANGE, GREY), strict=True
):
    axis.bar(range(len(widths)), values, bottom=bottom, label=label, color=color)
    bottom += values
axis.set_xticks(range(len(widths)), widths)
axis.set(xlabel=r"width multiplier $\alpha$", ylabel="million parameters")
axis.set_title("MobileNetV2: where the parameters are")
axis.grid(axis="x", visible=False)
axis.legend(loc="upper left")
plt.show()

# %% [markdown]
# At 0.35, three quarters of the parameters belong to the logits of a thousand classes.
# With ten classes the network has a quarter of the size in the tables.
#
# ## Resolution
#
# Fewer pixels do not change the parameters. MAdds fall with the square (Sec. 3.4) if
# the resolution is a multiple of 32. Otherwise every stride rounds its map up.

# %%
pixels = list(range(96, 257))
cost = [complexity.madds(get_spec("mobilenet_v2", resolution=r)) / 1e6 for r in pixels]
square = [cost[pixels.index(224)] * (r / 224) ** 2 for r in pixels]
figure, axes = plt.subplots(2, 1, figsize=(8.8, 5.6), sharex=True, height_ratios=(3, 2))
axes[0].plot(pixels, cost, color=RED, label="counted", drawstyle="steps-mid")
axes[0].plot(pixels, square, color=GREY, linestyle=":", label=r"$(r\,/\,224)^2$")
axes[0].set(ylabel="million MAdds", title="MobileNetV2 at every resolution")
axes[0].legend()
extra = [100 * (a / b - 1) for a, b in zip(cost, square, strict=True)]
axes[1].fill_between(pixels, extra, step="mid", color=RED, alpha=0.3)
axes[1].set(ylabel="more than the square, %", xlabel="resolution, pixels", ylim=0)
for axis in axes:
    axis.set_xticks(range(96, 257, 32))
plt.show()

# %% [markdown]
# One pixel above a multiple of 32 costs most: 193 pixels need maps of 7 x 7, like 224
# pixels. The papers use 96, 128, 160, 192 and 224.
#
# ## Both together
#
# Lines of equal cost. Along a line, a network trades channels for pixels. The dots are
# the 22 networks that MobileNetV2's authors released.

# %%
sizes = [96, 128, 160, 192, 224]
widths = [round(0.35 + 0.05 * i, 2) for i in range(22)]
table = [
    [
        complexity.madds(get_spec("mobilenet_v2", width_multiplier=w, resolution=r))
        / 1e6
        for w in widths
    ]
    for r in sizes
]
figure, axis = plt.subplots(figsize=(7.6, 4.6))
levels = [25, 50, 100, 200, 400]
lines = axis.contour(widths, sizes, table, levels, cmap="viridis", linewidths=2)
axis.clabel(lines, fmt="%g M")
released = [(w, r) for w in (0.35, 0.5, 0.75, 1.0) for r in sizes]
released += [(1.3, 224), (1.4, 224)]
axis.plot(*np.transpose(released), "o", color=GREY)
axis.set(xlabel=r"width multiplier $\alpha$", ylabel="resolution, pixels", yticks=sizes)
axis.set(xlim=(0.3, 1.45), ylim=(88, 232))
axis.set_title("MobileNetV2: million MAdds")
plt.show()

# %% [markdown]
# ## Channels are rounded
#
# Hardware is fast with channels in multiples of 8. The authors' code therefore rounds
# to the nearest multiple, but not below 90 % of the requested number
# (`make_divisible`).

# %%
widths = [round(0.2 + 0.01 * i, 2) for i in range(121)]
figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.2))
for channels, color in ((16, GREY), (24, BLUE), (32, GREEN), (64, RED)):
    rounded = [make_divisible(channels * w) for w in widths]
    exact = [channels * w for w in widths]
    axes[0].plot(widths, rounded, color=color, drawstyle="steps-mid", label=channels)
    axes[0].plot(widths, exact, color=color, linestyle=":")
axes[0].set(xlabel=r"width multiplier $\alpha$", ylabel="channels after rounding")
axes[0].set(title="Channels asked for (dotted) and given", yticks=range(0, 97, 8))
axes[0].legend(title="at width 1")
specs = [get_spec("mobilenet_v2", width_multiplier=w) for w in widths]
madds = [complexity.madds(spec) / 1e6 for spec in specs]
axes[1].plot(widths, madds, color=RED, drawstyle="steps-mid")
axes[1].set(xlabel=r"width multiplier $\alpha$", ylabel="million MAdds")
axes[1].set_title("MobileNetV2 in steps of 0.01")
plt.show()
print(f"{len(widths)} widths give {len(set(specs))} different networks")

# %% [markdown]
# Narrow layers move in large steps. A layer with 16 channels at width 1 has 8 up to
# 0.55, then 16, and 24 from 1.12 on. One such layer is the output of MobileNetV2's
# first block, from which the largest maps are computed. A hundredth more in width can
# therefore make the whole network cost a quarter more.
#
# ## Two widths, trained
#
# A small MobileNetV1 (one block of each width instead of up to six) at two widths, on
# 3,000 of the embedded images of clothes (Fashion-MNIST, Xiao et al. 2017,
# [arXiv:1708.07747](https://arxiv.org/abs/1708.07747)). A run needs a configuration, a
# task made from it, and a folder.

# %%
FOLDER = pathlib.Path(tempfile.mkdtemp())
WIDTHS = (0.125, 0.5)


def network(width):
    """What `get_spec` is given. The stem has stride 1, as the images are small."""
    return {
        "name": "mobilenet_v1",
        "width_multiplier": width,
        "depth_multiplier": 0.15,
        "resolution": 32,
        "stem_stride": 1,
        "bn_momentum": 0.9,  # the run is short
    }


def configuration(width):
    """A short training, ours, not a paper's."""
    return Configuration(
        model=network(width),
        dataset=NamedDataset(name="fashion_mnist_subset", train_split="train[:50%]"),
        preprocessing=Preprocessing(crop_fraction=1.0),  # clothes fill the image
        augmentation=(RandomCrop(min_area=1.0, max_aspect_ratio=1.0), Flip()),
        batch_size=64,
        epochs=4.0,
        optimizer=AdamW(learning_rate=6e-3, weight_decay=0.1),
        schedule=Cosine(warmup_epochs=0.5),
        ema_decay=0.95,
        log_every_steps=5,
    )


def train(width):
    """Trains without a word; returns what the run logged."""
    config = configuration(width)
    workdir = FOLDER / f"width_{width}"
    with capture_output():
        loop.train(make_task(config), str(workdir))
    return read_metrics(workdir / "metrics.jsonl")


runs = {width: train(width) for width in WIDTHS}

# %%
figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.0))
for (width, records), color in zip(runs.items(), (ORANGE, BLUE), strict=True):
    for axis, key, marker in zip(
        axes, ("train/loss", "val/ema/top1"), ("", "o"), strict=True
    ):
        points = [(r["step"], r[key]) for r in records if key in r]
        axis.plot(
            *np.transpose(points), color=color, marker=marker, label=f"width {width}"
        )
axes[0].set(title="Loss on training batches", xlabel="step", ylabel="cross-entropy")
axes[1].set(title="Top-1 on 1,000 other images", xlabel="step")
axes[1].yaxis.set_major_formatter("{x:.0%}")
axes[1].legend(loc="lower right")
plt.show()

print("width  million MAdds  parameters  top-1 (averaged weights)")
for width, records in runs.items():
    spec = get_spec(**network(width))
    madds, params = complexity.madds(spec, 10) / 1e6, complexity.params(spec, 10)
    top1 = records[-1]["val/ema/top1"]
    print(f"{width:5}  {madds:13.2f}  {params:10,}  {top1:7.1%}")

# %% [markdown]
# Six times the MAdds buy four points: a small version of the trade-off in MobileNetV1's
# Table 6. On ImageNet the paper reports 50.6 % at width 0.25, 63.7 % at 0.5, 68.4 %
# at 0.75 and 70.6 % at 1. The quick start in [README.md](../README.md) trains a small
# network in full.
