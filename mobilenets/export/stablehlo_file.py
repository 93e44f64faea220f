"""StableHLO: a network as JAX serialises it, for CPU, GPU and TPU."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.export import signature
from mobilenets.export.formats import Call, Options, Scale
from mobilenets.inference.trained import TrainedNet
from mobilenets.networks.segmenter import SegmenterSpec
from mobilenets.nn.lowering import Lowering

PLATFORMS = ("cpu", "cuda", "tpu")


def forward(
    net: TrainedNet, lowering: Lowering = "auto", detections: bool = False
) -> Callable[[jax.Array], tuple[jax.Array, ...]]:
    """From normalised images to the arrays of a file; the weights are constants."""
    model: Any = net.model.clone(lowering=lowering)
    if isinstance(model.spec, SegmenterSpec):  # its weights would be in the file
        model = model.clone(spec=dataclasses.replace(model.spec, auxiliary=None))

    def call(images: jax.Array) -> tuple[jax.Array, ...]:
        outputs = model.apply(net.variables, images)
        return signature.arrays_of(net.description.network, outputs, detections)

    return call


def convert(net: TrainedNet, options: Options) -> bytes:
    """The file of a network whose batch norms are folded.

    The forms of the operations that are fast on each platform are all in it; the one
    that runs is chosen when it is loaded.
    """
    size = net.description.network.resolution
    images: Any = options.batch
    if images is None:
        (images,) = jax.export.symbolic_shape("batch")
    shape = jax.ShapeDtypeStruct((images, size, size, 3), jnp.float32)
    call = jax.jit(forward(net, detections=options.detections))
    exported = jax.export.export(call, platforms=PLATFORMS)(shape)
    return bytes(exported.serialize())


def scales(content: bytes) -> dict[str, Scale]:
    """See `formats.Writer`."""
    del content
    return {}


def open_file(content: bytes, outputs: Sequence[str], threads: int) -> Call:
    """A call on JAX's default device, see `formats.Writer`."""
    del outputs, threads  # JAX gives all and takes all
    exported = jax.export.deserialize(bytearray(content))
    call = jax.jit(exported.call)
    return lambda images: [np.asarray(x) for x in call(images)]
