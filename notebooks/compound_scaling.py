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
# # Compound scaling
#
# EfficientNet (Tan and Le 2019, [arXiv:1905.11946](https://arxiv.org/abs/1905.11946))
# turns one network into a family by scaling depth, width and resolution together. This
# notebook shows what each of the three costs, how the paper's constants were found, and
# how far the released B0 to B7 are from the paper's own formula.

# %%
"""Everything is counted from specs: no weights, no training, not even JAX."""

import dataclasses
import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from mobilenets import ARCHITECTURES
from mobilenets.networks import complexity, scaling

BLUE, ORANGE, GREEN, RED, GREY = "#1f5fa8", "#d9822b", "#2e8b57", "#c62828", "#7a808a"
BROWN = "#8d6e63"
COLORS = {"depth": BLUE, "width": ORANGE, "resolution": GREEN, "compound": RED}
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
# ## Equation 3
#
# $$\text{depth } d = \alpha^\phi, \qquad \text{width } w = \beta^\phi, \qquad
# \text{resolution } r = \gamma^\phi, \qquad
# \alpha \cdot \beta^2 \cdot \gamma^2 \approx 2$$
#
# A convolution's multiply-adds (MAdds) grow like its number of layers, like the square
# of its channels and like the square of its resolution. One step of $\phi$ should
# therefore double them (Sec. 3.3). The paper's search gave $\alpha = 1.2$, $\beta =
# 1.1$ and $\gamma = 1.15$.

# %%
compound = scaling.METHODS["compound"]
print(f"alpha * beta^2 * gamma^2 = {compound.growth:.3f}\n")
print("phi  depth  width  pixels  billion MAdds  million parameters")
for phi in range(8):
    net = scaling.scaled_net("efficientnet", phi)
    by = net.multipliers
    print(
        f"{phi:>3}  {by.depth:5.2f}  {by.width:5.2f}  {by.pixels:>6}"
        f"  {net.madds / 1e9:13.2f}  {net.params / 1e6:18.1f}"
    )

# %% [markdown]
# From 0 to 1 the MAdds grow by 2.6, not by 1.92. A stage cannot have 2.4 layers, and
# the authors' code rounds up: any $\phi$ above 0 adds a layer to every stage of B0.
#
# ## One dimension at a time
#
# B0 with one of the three multiplied by 1 to 4, beside the power that Sec. 3.3 assumes.


# %%
def scaled(**multipliers):
    """EfficientNet-B0 with some of depth, width and resolution multiplied."""
    by = {"depth": 1.0, "width": 1.0, "resolution": 1.0} | multipliers
    return scaling.scaled_spec("efficientnet", scaling.Multipliers(**by))


steps = [float(step) for step in np.geomspace(1, 4, 61)]
powers = {"depth": (1, 1), "width": (2, 2), "resolution": (2, 0)}
counts = (("MAdds", complexity.madds), ("Parameters", complexity.params))
figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.2), sharex=True, sharey=True)
for axis, (title, count), column in zip(axes, counts, (0, 1), strict=True):
    base = count(scaled())
    for name, power in powers.items():
        values = [count(scaled(**{name: step})) / base for step in steps]
        exponent = power[column]
        label = f"{name}, counted (dotted: power {exponent})"
        axis.plot(steps, values, color=COLORS[name], linewidth=2, label=label)
        ideal = [step**exponent for step in steps]
        axis.plot(steps, ideal, color=COLORS[name], linestyle=":", linewidth=1.5)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set(title=f"{title}, as a multiple of B0's", xlabel="multiplier")
    axis.legend(loc="upper left", fontsize=9)
plt.show()

# %% [markdown]
# Resolution follows its square and costs no parameters. Width stays below its square,
# because the depthwise convolutions and the stem grow with its first power. Depth moves
# in steps: the smallest multiplier above 1 adds a layer to each of the seven stages,
# which adds half of B0's MAdds.
#
# ## The same budget spent in four ways
#
# The paper's Figure 2 with the real numbers: each method at $\phi = 2$, about four
# times the MAdds of B0. A bar is the output of the stem or of a block: its height is
# the map's height in pixels, its colour the number of channels.

# %%
rows = {"B0": scaling.scaled_net("efficientnet", 0)}
for name in ("depth", "width", "resolution", "compound"):
    rows[name] = scaling.scaled_net("efficientnet", 2, scaling.method(name))


def maps(spec):
    """Height and channels of the output of the stem and of every block."""
    layers = complexity.layers(spec)
    ends = [x for x in layers if x.name == "stem" or x.name.endswith("/project")]
    return [layer.output_size for layer in ends], [layer.channels for layer in ends]


figure, axes = plt.subplots(5, 1, figsize=(9.6, 8.6), sharex=True, sharey=True)
norm = LogNorm(16, 640)
for axis, (name, net) in zip(axes, rows.items(), strict=True):
    heights, channels = maps(net.spec)
    axis.bar(range(len(heights)), heights, color=plt.cm.viridis(norm(channels)))
    axis.set_title(
        f"{name}: {net.spec.resolution} pixels in, {len(heights) - 1} blocks, "
        f"{net.madds / 1e9:.2f} billion MAdds, {net.params / 1e6:.1f} M parameters",
        fontsize=10,
    )
    axis.set_yscale("log", base=2)
    axis.set(ylim=(4, 300), yticks=[7, 28, 112], yticklabels=[7, 28, 112])
    axis.grid(axis="x", visible=False)
axes[-1].set_xlabel("stem and blocks, in the order of execution")
figure.supylabel("height of the map, pixels", fontsize=10)
colors = plt.cm.ScalarMappable(norm, "viridis")
bar = figure.colorbar(colors, ax=axes, aspect=40, label="channels")
bar.set_ticks([16, 32, 64, 128, 256, 512], labels=[16, 32, 64, 128, 256, 512])
bar.minorticks_off()
plt.show()

# %% [markdown]
# All four cost about the same, but they are very different networks: four times as many
# blocks, twice the channels (with four times the parameters), maps of twice the height,
# or a little of each. The paper trained four such networks (Table 7). B0 has 77.3 %.
# Depth reached 79.0, width 78.9, resolution 79.1 and all three together 81.1.
#
# ## The search for alpha, beta and gamma
#
# Sec. 4, step 1: fix $\phi = 1$, try the constants on a grid with $\alpha \beta^2
# \gamma^2 \approx 2$, keep the best. As $\log_2 \alpha + 2 \log_2 \beta + 2 \log_2
# \gamma \approx 1$, each point of the grid divides the doubling between the three, and
# the grid fits into a triangle.

# %%
grid = scaling.grid("efficientnet")
corners = np.array([(0.5, math.sqrt(0.75)), (0.0, 0.0), (1.0, 0.0)])
names = ("depth", "width", "resolution")


def place(coefficients):
    """Where the shares of depth, width and resolution are in the triangle."""
    alpha, beta, gamma = dataclasses.astuple(coefficients)
    shares = np.array([math.log2(alpha), 2 * math.log2(beta), 2 * math.log2(gamma)])
    return shares / shares.sum() @ corners


base = rows["B0"].madds
figure, axis = plt.subplots(figsize=(7.6, 5.6))
axis.fill(*corners.T, facecolor="none", edgecolor=GREY, linewidth=1)
points = np.array([place(net.coefficients) for net in grid])
ratios = [net.madds / base for net in grid]
dots = axis.scatter(*points.T, c=ratios, cmap="viridis", s=70, edgecolor="white")
x, y = place(compound)
axis.plot(x, y, "o", markersize=17, markerfacecolor="none", color=RED, mew=2)
line = {"arrowstyle": "-", "color": RED}
text = "the paper's\n1.2, 1.1, 1.15"
axis.annotate(text, (x, y), (x + 0.25, y + 0.25), color=RED, arrowprops=line)
for name, (x, y), align in zip(names, corners, ("bottom", "top", "top"), strict=True):
    dy = 0.02 if align == "bottom" else -0.02
    axis.text(x, y + dy, f"all to {name}", ha="center", va=align, color=COLORS[name])
axis.set_aspect("equal")
axis.set_axis_off()
axis.set_title(f"{len(grid)} points of the grid: where a doubling of the MAdds goes")
figure.colorbar(dots, label="MAdds counted, as a multiple of B0's", shrink=0.7)
plt.show()

# %%
different = len({net.spec for net in grid})
print(f"{len(grid)} points, {different} different networks")
print(f"MAdds over B0's: {min(ratios):.2f} to {max(ratios):.2f}")

# %% [markdown]
# The paper's constants are near the middle, a little towards resolution. The colours
# show that the condition of 2 predicts the cost of a small network poorly. It holds
# best on the bottom edge, where no depth is added. Just above that edge, a little depth
# is a whole layer in every stage, and the network costs three times as much as B0.
#
# ## B0 to B7 beside the formula
#
# One would expect $\phi = 0, 1, \dots, 7$, but their multipliers were rounded by hand
# (the authors' `efficientnet_builder.py`). Each of the three implies a $\phi$ of its
# own by Eq. 3.

# %%
variants = [f"b{k}" for k in range(8)]
implied = [scaling.implied_phi(scaling.released(variant)) for variant in variants]
figure, axis = plt.subplots(figsize=(7.2, 4.4))
axis.plot(range(8), range(8), color=GREY, linestyle="--", label="as numbered")
for name, marker in zip(names, "osD", strict=True):
    values = [phi[name] for phi in implied]
    axis.plot(range(8), values, marker=marker, color=COLORS[name], label=name)
axis.set_xticks(range(8), [variant.upper() for variant in variants])
axis.set(title="What each released multiplier implies", ylabel=r"implied $\phi$")
axis.legend()
plt.show()

# %% [markdown]
# If they followed Eq. 3, the three would be one point. B1 is half a step and keeps B0's
# width, B2 is one step, B3 is two. From B5 on, width and resolution match the number,
# and depth is nearly a step behind.
#
# For the cost this matters little. The lines are Eq. 3 from $\phi = 0$ to 7, in
# all dimensions and in one of them; the dots are B0 to B7.

# %%
phis = [i / 10 for i in range(71)]
figure, axis = plt.subplots(figsize=(7.6, 5.0))
for name in ("depth", "width", "resolution", "compound"):
    line = [scaling.scaled_net("efficientnet", p, scaling.method(name)) for p in phis]
    axis.plot(
        [net.madds / 1e9 for net in line],
        [net.params / 1e6 for net in line],
        color=COLORS[name],
        label=name,
        linewidth=2.5 if name == "compound" else 1.5,
    )
for variant in variants:
    spec = scaling.scaled_spec("efficientnet", scaling.released(variant))
    point = complexity.madds(spec) / 1e9, complexity.params(spec) / 1e6
    axis.plot(*point, "o", color="black", markersize=5)
    axis.annotate(
        variant.upper(), point, (5, -11), textcoords="offset points", fontsize=9
    )
axis.set(xscale="log", yscale="log", xlim=(0.3, 60), ylim=(4, 130))
axis.xaxis.set_major_formatter("{x:g}")
axis.yaxis.set_major_formatter("{x:g}")
axis.set(xlabel="billion MAdds", ylabel="million parameters", title="Cost of B0 to B7")
axis.legend()
plt.show()

# %% [markdown]
# ## What it buys
#
# ImageNet top-1 as the papers report it, against the MAdds counted here. Each paper has
# its own training recipe, so small differences mean little.

# %%
families = {
    "EfficientNet": ([f"efficientnet_b{k}" for k in range(8)], RED),
    "EfficientNet-Lite": ([f"efficientnet_lite{k}" for k in range(5)], ORANGE),
    "ResNet": (["resnet50", "resnet101", "resnet152"], GREY),
    "SE-ResNet": (["se_resnet50", "se_resnet101", "se_resnet152"], "black"),
    "MobileNetV3": (["mobilenet_v3_small", "mobilenet_v3_large"], BLUE),
    "MobileNetV2": (["mobilenet_v2"], GREEN),
    "MobileNetV1": (["mobilenet_v1"], BROWN),
}
figure, axis = plt.subplots(figsize=(7.6, 5.0))
for family, (members, color) in families.items():
    architectures = [ARCHITECTURES[member] for member in members]
    cost = [complexity.madds(network.make()) / 1e9 for network in architectures]
    top1 = [network.top1 for network in architectures]
    axis.plot(cost, top1, color=color, marker="o", label=family)
axis.set(xscale="log", xlabel="billion MAdds", ylabel="ImageNet top-1, %")
axis.set_title("Accuracy that the papers report, against cost")
axis.set(xlim=(0.04, 60), ylim=(66, 86))
axis.xaxis.set_major_formatter("{x:g}")
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# B0 is a point above ResNet-50 at a tenth of its MAdds. From B4 to B7 another 1.4
# points cost nearly nine times as much.
#
# ## A budget of your own
#
# `scaling.largest` finds the $\phi$ whose network just fits (Eq. 2), in any direction
# and for any of the four families that the paper scales.

# %%
print("1 billion MAdds    method      phi   pixels  blocks  million parameters")
for family in ("efficientnet", "mobilenet_v2"):
    for name in ("compound", "depth", "width", "resolution"):
        net = scaling.largest(family, scaling.method(name), max_madds=1e9)
        print(
            f"{family:<17}  {name:<10} {net.phi:5.2f}  {net.spec.resolution:>6}"
            f"  {len(net.spec.backbone.blocks):>6}  {net.params / 1e6:18.1f}"
        )

# %% [markdown]
# To train one, or to see the same in a terminal:
#
# ```
# python train.py --config configs/efficientnet.py:phi=1.2 --workdir runs/phi_1.2
# mobilenets scale efficientnet --phi 1.2
# ```
