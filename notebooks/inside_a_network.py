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
# # Inside a network
#
# Three views of trained networks: the feature maps of a photograph, the gates of
# squeeze-and-excitation (Hu et al. 2018,
# [arXiv:1709.01507](https://arxiv.org/abs/1709.01507)), and the receptive field, in
# theory and as the gradient shows it (Luo et al. 2016,
# [arXiv:1701.04128](https://arxiv.org/abs/1701.04128)).

# %%
"""Fetches 17 MB of weights with pip; everything is left in a temporary folder."""

import contextlib
import functools
import pathlib
import tempfile

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.utils.capture import capture_output
from matplotlib import cbook

from mobilenets import create_model, get_spec
from mobilenets.config.schema import (
    AdamW,
    Configuration,
    Cosine,
    Flip,
    NamedDataset,
    Preprocessing,
    RandomCrop,
)
from mobilenets.data.sources.opening import open_source
from mobilenets.inference import prediction, trained
from mobilenets.inference.description import Description
from mobilenets.networks import complexity
from mobilenets.networks.spec import with_squeeze_excite
from mobilenets.nn.blocks import ACTIVATIONS
from mobilenets.nn.initialization import init_variables
from mobilenets.pretrained import importing
from mobilenets.runtime import start_up
from mobilenets.tasks.registry import make_task
from mobilenets.training import loop

FOLDER = pathlib.Path(tempfile.mkdtemp())
BLUE, ORANGE, GREEN, GREY = "#1f5fa8", "#d9822b", "#2e8b57", "#7a808a"
start_up.prepare_jax()  # keeps what is compiled, and quiets libraries
plt.rcParams.update(
    {
        "figure.dpi": 80,
        "figure.constrained_layout.use": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "grid.alpha": 0.25,
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## Feature maps
#
# EfficientNet-Lite0 with trained weights, and the US Navy's photograph of Rear Admiral
# Grace Hopper (public domain), which comes with matplotlib. A network returns the
# logits and every feature map by name.

# %%
net = importing.fetch("efficientnet_lite0")
spec, preprocessing = net.description.network, net.description.preprocessing
path = pathlib.Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
photo = prediction.read_photo(path, spec.resolution, preprocessing)


def normalized(pixels):
    """What the network expects of pixels from 0 to 255."""
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    return jnp.asarray((pixels - mean) / std, jnp.float32)


apply = jax.jit(net.model.apply)
logits, endpoints = jax.device_get(apply(net.variables, normalized(photo.pixels)[None]))
strides = ("stride2", "stride4", "stride8", "stride16", "stride32")
for name in (*strides, "pre_logits"):
    print(f"{name:<10} {' x '.join(map(str, endpoints[name].shape[1:]))}")

# %% [markdown]
# Each map below is drawn in three colours: the three directions in which its channels
# vary most over the photograph. Places with the same colour look the same to the
# network.


# %%
def in_colors(features):
    """A map of many channels as red, green and blue, [H, W, 3]."""
    height, width, channels = features.shape
    x = features.reshape(-1, channels)
    x = x - x.mean(0)
    _, _, directions = np.linalg.svd(x, full_matrices=False)
    x = x @ directions[:3].T
    low, high = np.percentile(x, (2, 98), axis=0)
    return np.clip((x - low) / (high - low), 0, 1).reshape(height, width, 3)


figure, axes = plt.subplots(2, 3, figsize=(6.2, 4.4))
pictures = {"the photograph": photo.pixels}
for name in strides:
    features = endpoints[name][0]
    size, channels = features.shape[0], features.shape[-1]
    title = f"stride {name.removeprefix('stride')}: {size} x {size} x {channels}"
    pictures[title] = in_colors(features)
for axis, (title, picture) in zip(axes.flat, pictures.items(), strict=True):
    axis.imshow(picture, interpolation="nearest")
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# At stride 2 the colours still follow the photograph. At 4 and 8 they show edges and
# their directions. At 16 they show objects: the face has one colour, the uniform
# another. At 32 they show little more than top, bottom and middle. The single channels
# that vary most:

# %%
figure, axes = plt.subplots(2, 5, figsize=(7.0, 3.1))
for row, name in zip(axes, ("stride4", "stride16"), strict=True):
    features = endpoints[name][0]
    largest = np.argsort(-features.std(axis=(0, 1)))[:5]
    for axis, channel in zip(row, largest, strict=True):
        axis.imshow(features[..., channel], cmap="magma", interpolation="nearest")
        axis.set_title(f"{name}, channel {channel}", fontsize=8)
        axis.set_axis_off()
plt.show()

# %% [markdown]
# ## The gates of squeeze-and-excitation
#
# A squeeze-and-excitation layer multiplies every channel of a map by a gate from 0 to
# 1, which it computes from the means of all channels, once per image and not per pixel.
# Sec. 7.2 of the paper shows the gates of ImageNet classes at several depths.
#
# Here such layers, with $r = 4$, follow the blocks of a small MobileNetV1, which is
# trained for a few epochs on the embedded images of clothes (Fashion-MNIST). A run can
# start from any saved network, even an untrained one.

# %%
small = get_spec(
    "mobilenet_v1",
    width_multiplier=0.25,
    depth_multiplier=0.15,  # one block of each width
    resolution=32,
    stem_stride=1,  # the images are small
    bn_momentum=0.9,  # the run is short
)
dataset = NamedDataset(name="fashion_mnist_subset")
description = Description(
    network=with_squeeze_excite(small, "se_mobilenet_v1_small", reduction=4),
    preprocessing=Preprocessing(crop_fraction=1.0),  # clothes fill the image
    class_names=open_source(dataset, "train").names,
)
model = create_model(description.network, len(description.class_names))
variables = jax.device_get(init_variables(model, jax.random.key(0)))
config = Configuration(
    init_from=str(FOLDER / "untrained"),
    dataset=dataset,
    augmentation=(RandomCrop(min_area=1.0, max_aspect_ratio=1.0), Flip()),
    batch_size=128,
    epochs=4.0,
    optimizer=AdamW(learning_rate=1e-2, weight_decay=0.1),
    schedule=Cosine(warmup_epochs=0.5),
    ema_decay=0.98,
    evaluate_every_epochs=4.0,
)
trained.save(trained.TrainedNet(description, variables), config.init_from)
task = make_task(config)
with capture_output():  # it tells of every step
    loop.train(task, str(FOLDER / "run"))
clothes = trained.load(str(FOLDER / "run"))

# %% [markdown]
# Flax's `capture_intermediates` gives the outputs of inner modules, here those of the
# layers' second dense layer. The gate is its sigmoid.


# %%
def is_gate(module, _):
    """Whether a module's output becomes the gates."""
    return isinstance(module, nn.Dense) and module.name == "expand"


@jax.jit
def gates_of(images):
    """The logits, and the gates of each block, [N, channels]."""
    (logits, _), state = model.apply(
        clothes.variables, images, capture_intermediates=is_gate
    )
    inner = state["intermediates"]
    found = []
    for i, block in enumerate(description.network.backbone.blocks):
        (values,) = inner[f"block{i}"]["se"]["expand"]["__call__"]
        found.append(ACTIVATIONS[block.se.gate](values))
    return logits, found


images, labels, logits, gates = [], [], [], []
with contextlib.closing(task.eval_batches("val")) as batches:
    for batch in batches:
        real = batch["mask"] == 1
        outputs = jax.device_get(gates_of(task.inputs(batch)))
        images.append(batch["image"][real])
        labels.append(batch["label"][real])
        logits.append(outputs[0][real])
        gates.append([values[real] for values in outputs[1]])
images, labels, logits = map(np.concatenate, (images, labels, logits))
gates = [np.concatenate(parts) for parts in zip(*gates, strict=True)]
print(f"top-1 {np.mean(logits.argmax(-1) == labels):.1%} of {len(labels)} images")
print("gates of the blocks:", *(values.shape[-1] for values in gates))

# %% [markdown]
# The mean gate of each class at three depths. A row is a class, a column one of the 32
# channels whose gates differ most between classes.

# %%
classes = description.class_names


def by_class(values):
    """The mean gate of each class, [classes, channels]."""
    return np.stack([values[labels == k].mean(0) for k in range(len(classes))])


figure, axes = plt.subplots(1, 3, figsize=(9.4, 3.2), sharey=True)
for axis, i in zip(axes, (1, 3, 4), strict=True):
    means = by_class(gates[i])
    means = means[:, np.argsort(-means.std(0))[:32]]
    # Channels that open for the same classes stand together.
    _, _, directions = np.linalg.svd(means - means.mean(0), full_matrices=False)
    means = means[:, np.argsort(directions[0])]
    drawn = axis.imshow(means, aspect="auto", vmin=0, vmax=1, cmap="viridis")
    axis.set_title(f"block{i}: 32 of {gates[i].shape[1]} channels")
    axis.set_xticks([])
    axis.set_yticks(range(len(classes)), classes)
figure.colorbar(drawn, ax=axes, label="mean gate")
plt.show()

# %%
print("        open above 0.9  shut below 0.1  spread over classes")
for i, values in enumerate(gates):
    means = by_class(values)
    print(
        f"block{i}  {np.mean(values > 0.9):14.0%}  {np.mean(values < 0.1):14.0%}"
        f"  {means.std(0).mean():19.3f}"
    )

# %% [markdown]
# Early gates are half open for all classes. Late gates are decided: most are open or
# closed for all classes, and a few separate kinds of clothes. The paper also finds that
# classes share early gates and have specific late ones. The channel of the last block
# that differs most, and the images that open and close it:

# %%
means = by_class(gates[-1])
channel = means.var(0).argmax()
values = gates[-1][:, channel]
order = np.argsort(values)
figure, axes = plt.subplots(2, 10, figsize=(9.0, 2.5))
for row, picked in zip(axes, (order[::-1][:10], order[:10]), strict=True):
    for axis, i in zip(row, picked, strict=True):
        axis.imshow(images[i])
        axis.set_title(f"{values[i]:.2f}", fontsize=9, loc="center")
        axis.set_axis_off()
plt.show()
print("mean over the images of a class:")
for k in np.argsort(-means[:, channel]):
    print(f"{means[k, channel]:5.2f}  {classes[k]}")

# %% [markdown]
# ## The receptive field, in theory
#
# A kernel of $k$ pixels after a total stride of $s$ widens the field by $(k - 1) s$
# input pixels. Summed over the layers (Araujo et al. 2019, [Computing receptive
# fields](https://distill.pub/2019/computing-receptive-fields)):


# %%
def receptive_fields(spec):
    """After each convolution: its name, what it sees, its stride, in pixels."""
    size, stride = 1, 1
    for layer in complexity.layers(spec):
        if layer.operator != "dense":
            size += (layer.kernel_size - 1) * stride
            stride *= layer.stride
            yield layer.name, size, stride


figure, axis = plt.subplots(figsize=(7.6, 4.4))
networks = {
    "mobilenet_v1": GREY,
    "mobilenet_v2": GREEN,
    "efficientnet_lite0": BLUE,
    "efficientnet_lite4": ORANGE,
}
for name, color in networks.items():
    network = get_spec(name)
    ends = [
        size
        for layer, size, _ in receptive_fields(network)
        if layer == "stem" or layer.endswith("/project")
    ]
    label = f"{name}: {ends[-1]} pixels; its input has {network.resolution}"
    axis.plot(ends, color=color, marker="o", markersize=3, label=label)
axis.set(xlabel="block", ylabel="receptive field, pixels")
axis.set_title("What one pixel of a block's output can depend on")
axis.grid()
axis.legend()
plt.show()

# %% [markdown]
# All but MobileNetV1 see the whole image long before the end, and the kernels of 5 x 5
# in EfficientNet widen it fast. (Lite has no squeeze-and-excitation, which would make
# every field infinite: a mean over the map sees all of it.)
#
# ## The receptive field, in effect
#
# Luo et al. take the gradient of the centre of a map with respect to the input. Pixels
# at the edge of the theoretical field reach the centre by few paths, those in the
# middle by many. Below is the size of the gradient over eight crops of the photograph,
# with random and with trained weights. Every channel gets a random sign so that
# channels do not cancel. The square is the theoretical field. At strides 16 and 32 it
# is larger than the image.


# %%
@functools.partial(jax.jit, static_argnames="name")
def gradient_of_centre(variables, images, signs, name):
    """[H, W]: how much each input pixel moves the centre of a map, over the images."""

    def centre(images):
        _, endpoints = net.model.apply(variables, images)
        maps = endpoints[name]
        middle = maps.shape[1] // 2
        return (maps[:, middle, middle] * signs).sum()

    gradient = jax.grad(centre)(images)
    return jnp.sqrt((gradient**2).sum(-1).mean(0))


rng = np.random.default_rng(0)
whole = plt.imread(path)
corners = rng.integers((whole.shape[0] - 224, whole.shape[1] - 224), size=(8, 2))
crops = normalized(np.stack([whole[y : y + 224, x : x + 224] for y, x in corners]))
untrained = init_variables(net.model, jax.random.key(0))
# The last layer of each stride stays.
theory = {f"stride{stride}": size for _, size, stride in receptive_fields(spec)}
effect = {"random weights": {}, "trained": {}}
for label, variables in zip(effect, (untrained, net.variables), strict=True):
    for name in strides[2:]:
        channels = endpoints[name].shape[-1]
        signs = rng.choice([-1.0, 1.0], (len(crops), channels)).astype(np.float32)
        effect[label][name] = np.asarray(
            gradient_of_centre(variables, crops, signs, name)
        )

figure, axes = plt.subplots(2, 3, figsize=(7.6, 5.2))
for row, (label, maps) in zip(axes, effect.items(), strict=True):
    for axis, (name, gradient) in zip(row, maps.items(), strict=True):
        # Means of 4 x 4 pixels: strides leave a fine pattern of their own.
        coarse = gradient.reshape(56, 4, 56, 4).mean(axis=(1, 3))
        area = (0, 224, 224, 0)
        axis.imshow(coarse / coarse.max(), cmap="magma", vmin=0, extent=area)
        stride, size = int(name.removeprefix("stride")), theory[name]
        corner = (224 // stride // 2 + 0.5) * stride - size / 2
        square = plt.Rectangle((corner, corner), size, size, fill=False)
        square.set(color="white", linestyle="--")
        axis.add_patch(square)
        axis.set_title(f"{label}, stride {stride}", fontsize=10)
        axis.set(xlim=(0, 224), ylim=(224, 0), xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The size of the effective field, as defined in the paper (Sec. 3): the root of the
# number of pixels whose gradient is above 4.55 % of the largest.

# %%
print("          theory  random weights  trained")
for name in strides[2:]:
    sides = [
        np.sqrt((maps[name] > 0.0455 * maps[name].max()).sum())
        for maps in effect.values()
    ]
    print(f"{name:<9} {theory[name]:>6}  {sides[0]:14.0f}  {sides[1]:7.0f}")

# %% [markdown]
# At stride 32 the theoretical field is the whole image, and the effective field is
# nearly all of it. At 8 and 16 the effective field is a blob in the middle of the
# theoretical one: wide with random weights, narrow with trained ones. (Luo et al. saw
# the fields of their networks, with plain convolutions, grow in training.)
