"""`ConvNet`, the one module that turns a `NetSpec` into a network."""

import functools
import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mobilenets.architectures import get_spec
from mobilenets.blocks import KERNEL_INIT, Block, ConvBN
from mobilenets.spec import NetSpec


class ConvNet(nn.Module):
    """A classifier or, with `num_classes=0`, a backbone.

    Args:
      spec: the architecture.
      num_classes: width of the logits; 0 leaves out the dropout and the logits.
      dtype: of the computation. Parameters, statistics and logits are float32.
    """

    spec: NetSpec
    num_classes: int = 1000
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> tuple[jax.Array | None, dict[str, jax.Array]]:
        """Runs the network.

        Args:
          images: [N, H, W, 3], normalised; H and W need not be the spec's resolution.
          train: use batch statistics and dropout; `apply` then needs
            `mutable=["batch_stats"]` and an rng "dropout".

        Returns:
          logits: [N, num_classes] float32, None without a head.
          endpoints: feature maps by name: "stem"; of each block "block3", its output,
            and "block3/expand", its map before the depthwise convolution; "stride2" to
            "stride32", the last of stem and blocks at each output stride; "head_conv"
            where there is one; "pre_logits", [N, C].
        """
        spec = self.spec
        conv_bn = functools.partial(
            ConvBN,
            padding=spec.padding,
            bn_momentum=spec.bn_momentum,
            bn_epsilon=spec.bn_epsilon,
            dtype=self.dtype,
        )
        x = conv_bn(spec.stem_channels, 3, spec.stem_stride, act=spec.act, name="stem")(
            images, train
        )
        stride = spec.stem_stride
        endpoints = {"stem": x, f"stride{stride}": x}
        for i, block in enumerate(spec.blocks):
            x, expanded = Block(block, conv_bn, name=f"block{i}")(x, train)
            stride *= block.stride
            endpoints |= {f"block{i}/expand": expanded, f"block{i}": x}
            endpoints[f"stride{stride}"] = x
        if spec.head_conv_channels:
            x = conv_bn(spec.head_conv_channels, act=spec.act, name="head_conv")(
                x, train
            )
            endpoints["head_conv"] = x
        x = endpoints["pre_logits"] = x.mean(axis=(1, 2))
        if not self.num_classes:
            return None, endpoints
        x = nn.Dropout(spec.dropout_rate, deterministic=not train)(x)
        logits = nn.Dense(self.num_classes, kernel_init=KERNEL_INIT, name="logits")(
            x.astype(jnp.float32)
        )
        return logits, endpoints


def init_variables(model: ConvNet, rng: jax.Array) -> Any:
    """`model.init` in a second instead of ten: the same tree and distributions.

    All kernels are cut from one draw, since XLA compiles a random generator for every
    array that is drawn by itself; everything else starts at 0 or 1.

    Returns:
      {"params": ..., "batch_stats": ...}, float32.
    """
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, rng, images)
    leaves, structure = jax.tree.flatten_with_path(shapes)
    sizes = [leaf.size if _name(path) == "kernel" else 0 for path, leaf in leaves]
    drawn = KERNEL_INIT(rng, (sum(sizes),))
    offsets = itertools.accumulate(sizes, initial=0)
    constants = {"bias": 0.0, "scale": 1.0, "mean": 0.0, "var": 1.0}
    values = [
        drawn[offset : offset + size].reshape(leaf.shape)
        if size
        else jnp.full(leaf.shape, constants[_name(path)], leaf.dtype)
        for (path, leaf), size, offset in zip(leaves, sizes, offsets, strict=False)
    ]
    return jax.tree.unflatten(structure, values)


def _name(path: tuple) -> str:
    """The last key of a path in the tree of variables: "kernel", "scale", ..."""
    return path[-1].key


def create_model(
    architecture: str | NetSpec,
    num_classes: int = 1000,
    dtype: DTypeLike = jnp.float32,
    **overrides: Any,
) -> ConvNet:
    """The Linen module of a network, by name or from its spec.

    Args:
      architecture: a name (`get_spec`), or a spec.
      num_classes: width of the logits; 0 for a backbone.
      dtype: of the computation.
      **overrides: passed to `get_spec`; only with a name.

    >>> model = create_model("mobilenet_v2", num_classes=10, width_multiplier=0.35)
    >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    >>> logits, endpoints = model.apply(variables, jnp.zeros((2, 96, 96, 3)))
    >>> logits.shape, endpoints["stride32"].shape
    ((2, 10), (2, 3, 3, 112))
    """
    if isinstance(architecture, str):
        architecture = get_spec(architecture, **overrides)
    elif overrides:
        raise TypeError(
            f"{sorted(overrides)} can be given with a name only; use "
            "dataclasses.replace on the spec."
        )
    return ConvNet(architecture, num_classes, dtype)
