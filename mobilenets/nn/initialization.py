"""How parameters start, by the code that each family of networks comes from."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from mobilenets.networks.spec import Initialization

Distribution = Literal["truncated_normal", "normal", "uniform"]
Path = tuple[str, ...]

# Of unit scale: a normal, one cut at two standard deviations, and -1 to 1.
SAMPLERS: dict[Distribution, Callable[[jax.Array, tuple[int, ...]], jax.Array]] = {
    "truncated_normal": lambda rng, shape: jax.random.truncated_normal(
        rng, -2.0, 2.0, shape
    ),
    "normal": jax.random.normal,
    "uniform": lambda rng, shape: jax.random.uniform(rng, shape, minval=-1.0),
}


@dataclasses.dataclass(frozen=True)
class Draw:
    """The initialiser by which a kernel is `scale` times a sample."""

    distribution: Distribution
    scale: float

    def draw(self, shape: tuple[int, ...]) -> "Draw":
        """As `KernelInit.draw`: the same for every shape."""
        del shape
        return self

    def __call__(self, rng, shape, dtype=jnp.float32) -> jax.Array:
        """One kernel, as Linen asks for it."""
        return (self.scale * SAMPLERS[self.distribution](rng, shape)).astype(dtype)


@dataclasses.dataclass(frozen=True)
class KernelInit:
    """The initialiser of a family's kernels.

    Args:
      initialization: of the spec.
      is_logits: whether it is for the logits, the only dense layer that is no 1x1
        convolution in the authors' code.

    - slim: `mobilenet_v1.py` and `mobilenet.py` of TensorFlow's slim.
    - efficientnet: `efficientnet_model.py` and `mnasnet_model.py` of the TPU models;
      they count the fan-out of a depthwise kernel as its taps.
    - moga: the models of MoGA's repository; a depthwise kernel's fan-out is its taps
      times its channels.
    - resnet: convolutions as in arXiv:1502.01852, to which ResNet's Sec. 3.4 refers;
      logits as in arXiv:1706.02677, Sec. 5.1, and in the TPU models.
    """

    initialization: Initialization
    is_logits: bool = False

    def draw(self, shape: tuple[int, ...]) -> Draw:
        """How a kernel [k, k, inputs a filter, filters] or [inputs, outputs] starts."""
        *taps, inputs, outputs = shape
        if self.initialization == "slim":
            return Draw("truncated_normal", 0.09)
        if self.initialization == "resnet":
            std = math.sqrt(2 / (math.prod(taps) * inputs))
            return Draw("normal", 0.01 if self.is_logits else std)
        if self.is_logits:
            return Draw("uniform", 1 / math.sqrt(outputs))
        is_depthwise = bool(taps) and inputs == 1
        of_taps = is_depthwise and self.initialization == "efficientnet"
        filters = 1 if of_taps else outputs
        return Draw("normal", math.sqrt(2 / (math.prod(taps) * filters)))

    def __call__(self, rng, shape, dtype=jnp.float32) -> jax.Array:
        """One kernel, as Linen asks for it."""
        return self.draw(shape)(rng, shape, dtype)


@dataclasses.dataclass(frozen=True)
class Constant:
    """The initialiser that gives one number everywhere."""

    number: float

    def __call__(self, rng, shape, dtype=jnp.float32) -> jax.Array:
        """An array of it, as Linen asks for it; the rng is not used."""
        return jnp.full(shape, self.number, dtype)


ZEROS, ONES = Constant(0.0), Constant(1.0)


def init_variables(
    model: nn.Module, rng: jax.Array, shape: tuple[int, ...] = (1, 32, 32, 3)
) -> Any:
    """`model.init` in a second instead of ten: the same tree and distributions.

    All kernels of one distribution are cut from one draw, since XLA compiles a random
    generator for every array that is drawn by itself. They are cut on the host, since
    it also compiles every cut: half a minute for a supernet. What the modules of this
    package did not start (`KernelInit`, `Draw`, `Constant`) is what `model.init` gives.

    Args:
      model: any module that is called with images alone.
      rng: a key.
      shape: of the images, [N, H, W, C]; the variables need not depend on N, H and W.

    Returns:
      {"params": ..., "batch_stats": ...}, as `model.init`, in numpy arrays; where it is
      traced, in jax arrays of the same values.
    """
    initializers, shapes = _initializers(model, rng, shape)
    leaves, structure = jax.tree.flatten_with_path(shapes)
    wanted = {tuple(part.key for part in path): leaf for path, leaf in leaves}
    kernels = {
        path: (initializer, wanted[path].shape)
        for path in wanted
        if isinstance(initializer := initializers.get(path), KernelInit | Draw)
    }
    values: dict[Path, Any] = _draw_kernels(kernels, rng)
    for path, leaf in wanted.items():
        if isinstance(initializer := initializers.get(path), Constant):
            values[path] = np.full(leaf.shape, initializer.number, np.float32)
    others = [path for path in wanted if path not in values]
    values |= _by_init(model, rng, shape, others)
    found = [values[path].astype(leaf.dtype) for path, leaf in wanted.items()]
    return jax.tree.unflatten(structure, found)


def _initializers(
    model: nn.Module, rng: jax.Array, shape: tuple[int, ...]
) -> tuple[dict[Path, Any], Any]:
    """Of each variable what starts it, by its path; and the shapes of all variables.

    By Linen's habit the module that has a variable "kernel" has its initialiser as the
    field "kernel_init".
    """
    fields: dict[Path, Any] = {}

    def look(call, args, kwargs, context):
        module = context.module
        for field in dataclasses.fields(module):
            if field.name.endswith("_init"):
                variable = field.name.removesuffix("_init")
                fields[(*module.path, variable)] = getattr(module, field.name)
        return call(*args, **kwargs)

    with nn.intercept_methods(look):
        images = jax.ShapeDtypeStruct(shape, jnp.float32)
        shapes = jax.eval_shape(model.init, rng, images)
    paths = [
        tuple(part.key for part in path)
        for path, _ in jax.tree.leaves_with_path(shapes)
    ]
    return {path: fields.get(path[1:]) for path in paths}, shapes


def _draw_kernels(
    kernels: Mapping[Path, tuple[KernelInit | Draw, tuple[int, ...]]], rng: jax.Array
) -> dict[Path, np.ndarray | jax.Array]:
    """A kernel for each initialiser and shape."""
    draws = {path: init.draw(shape) for path, (init, shape) in kernels.items()}
    result = {}
    for number, (distribution, sampler) in enumerate(SAMPLERS.items()):
        paths = [path for path in kernels if draws[path].distribution == distribution]
        sizes = [math.prod(kernels[path][1]) for path in paths]
        sample = sampler(jax.random.fold_in(rng, number), (sum(sizes),))
        if not isinstance(sample, Tracer):
            sample = np.asarray(sample)
        ends = itertools.accumulate(sizes)
        for path, size, end in zip(paths, sizes, ends, strict=True):
            kernel = sample[end - size : end].reshape(kernels[path][1])
            result[path] = draws[path].scale * kernel
    return result


def _by_init(
    model: nn.Module, rng: jax.Array, shape: tuple[int, ...], paths: list[Path]
) -> dict[Path, jax.Array]:
    """Those variables as `model.init` gives them; XLA leaves out all else of it."""

    @jax.jit
    def init(rng):
        variables = model.init(rng, jnp.zeros(shape, jnp.float32))
        leaves = jax.tree.leaves_with_path(variables)
        values = {tuple(part.key for part in path): leaf for path, leaf in leaves}
        return [values[path] for path in paths]

    return dict(zip(paths, init(rng), strict=True)) if paths else {}
