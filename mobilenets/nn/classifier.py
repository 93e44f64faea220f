"""`Classifier`, the module that turns a `ClassifierSpec` into a network."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mobilenets.errors import UserError
from mobilenets.networks.architectures import get_spec, replace
from mobilenets.networks.spec import ClassifierSpec
from mobilenets.nn.backbone import Backbone, Endpoints
from mobilenets.nn.batch_norm import Deferred, value
from mobilenets.nn.blocks import ACTIVATIONS, Map
from mobilenets.nn.initialization import ZEROS, KernelInit
from mobilenets.nn.lowering import Lowering
from mobilenets.nn.roles import Role

OUTPUT_LAYER = "logits"


class Classifier(nn.Module):
    """A backbone and a head with one logit for each class.

    Args:
      spec: the architecture.
      num_classes: number of logits.
      dtype: the type of the computation. Parameters, statistics and logits are float32.
      frozen: see `Backbone`.
      remat: see `Backbone`.
      lowering: see `Backbone`.

    The parameters of the backbone are on the same level as those of the head,
    "head_dense" and "logits".
    """

    spec: ClassifierSpec
    num_classes: int = 1000
    dtype: DTypeLike = jnp.float32
    frozen: tuple[str, ...] = ()
    remat: bool = False
    lowering: Lowering = "auto"

    def setup(self):
        """Makes the modules; Linen calls it."""
        spec, initialization = self.spec, self.spec.backbone.initialization
        self.backbone = Backbone(
            spec.backbone, self.dtype, self.frozen, self.remat, self.lowering
        )
        nn.share_scope(self, self.backbone)
        if spec.head_dense_channels:
            self.head_dense = nn.Dense(
                spec.head_dense_channels,
                use_bias=spec.head_dense_bias,
                kernel_init=KernelInit(initialization),
                bias_init=ZEROS,
                dtype=self.dtype,
            )
        # Linen draws by the module's name: with another one a run would draw anew.
        self.dropout = nn.Dropout(spec.dropout_rate, name="Dropout_0")
        self.output = nn.Dense(
            self.num_classes,
            kernel_init=KernelInit(initialization, is_logits=True),
            bias_init=ZEROS,
            name=OUTPUT_LAYER,
        )

    def __call__(
        self,
        images: jax.Array,
        train: bool = False,
        path: jax.Array | None = None,
    ) -> tuple[jax.Array, Endpoints]:
        """Runs the network.

        Args:
          images: [N, H, W, 3], normalised; H and W need not be the spec's resolution.
          train: use batch statistics, dropout and stochastic depth; `apply` then needs
            `mutable=["batch_stats"]` and an rng "dropout".
          path: the choice at each open block of a supernet, int32.

        Returns:
          logits: [N, num_classes] float32.
          endpoints: the maps of `Backbone` but for "features", and "pre_logits", the
            vectors [N, C] from which the logits are computed.
        """
        x, endpoints = self.backbone.run(images, train, path)
        x = _global_average_pool(x)
        if self.spec.head_dense_channels:
            x = ACTIVATIONS[self.spec.backbone.act](self.head_dense(x))
        endpoints["pre_logits"] = x
        x = self.dropout(x, deterministic=not train)
        return self.output(x.astype(jnp.float32)), endpoints

    def role(self, module_name: str) -> Role:
        """See `HasRoles`: only the logits belong to the classes."""
        return "head" if module_name == OUTPUT_LAYER else "backbone"


def _global_average_pool(x: Map) -> jax.Array:
    if isinstance(x, Deferred):
        return value(x.then(lambda x, _: x.mean(axis=(1, 2))))
    return x.mean(axis=(1, 2))


def create_model(
    architecture: str | ClassifierSpec,
    num_classes: int = 1000,
    dtype: DTypeLike = jnp.float32,
    name: str | None = None,
    **overrides: Any,
) -> Classifier:
    """Creates the Linen module of a classifier.

    Args:
      architecture: a name (`get_spec`), or a spec.
      num_classes: number of logits. For a network without classes use
        `create_backbone`.
      dtype: the type of the computation.
      name: the name of the module within another module.
      **overrides: passed to `get_spec` or, with a spec, to `replace`.

    Raises:
      UserError: see `get_spec` and `replace`.

    >>> from mobilenets.nn.initialization import init_variables
    >>> model = create_model("mobilenet_v1", num_classes=10, width_multiplier=0.25)
    >>> images = jnp.zeros((2, 96, 96, 3))
    >>> variables = init_variables(model, jax.random.key(0))
    >>> logits, endpoints = jax.jit(model.apply)(variables, images)
    >>> logits.shape, endpoints["stride32"].shape
    ((2, 10), (2, 3, 3, 256))
    """
    if isinstance(architecture, ClassifierSpec):
        spec = replace(architecture, **overrides)
    else:
        spec = get_spec(architecture, **overrides)
    if not isinstance(num_classes, int) or num_classes < 1:
        raise UserError(
            f"num_classes must be a positive integer, but is {num_classes!r}: a "
            "network without classes is a `create_backbone`."
        )
    return Classifier(spec, num_classes, dtype, name=name)
