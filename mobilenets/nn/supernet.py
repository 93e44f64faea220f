"""`Supernet`, the module that turns a `SearchSpace` into one network for all of it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mobilenets.networks.search_space import Genes, SearchSpace
from mobilenets.nn.backbone import Endpoints
from mobilenets.nn.classifier import OUTPUT_LAYER, Classifier
from mobilenets.nn.lowering import Lowering
from mobilenets.nn.roles import Role


class Supernet(nn.Module):
    """All networks of a space, which share their weights; a path computes one of them.

    Args:
      spec: the space.
      num_classes: number of logits.
      dtype: see `Classifier`.
      frozen: see `Backbone`.
      remat: see `Backbone`.
      lowering: see `Backbone`.

    The path is an input, so that one compiled program serves all networks. Parameters
    are called as those of a `Classifier`; those of an open block's choices are in it as
    "choice0", "choice1", …
    """

    spec: SearchSpace
    num_classes: int = 1000
    dtype: DTypeLike = jnp.float32
    frozen: tuple[str, ...] = ()
    remat: bool = False
    lowering: Lowering = "auto"

    def setup(self):
        """Makes the modules; Linen calls it."""
        self.classifier = Classifier(
            self.spec.supernet,
            self.num_classes,
            self.dtype,
            self.frozen,
            self.remat,
            self.lowering,
        )
        nn.share_scope(self, self.classifier)

    def __call__(
        self, inputs: jax.Array | tuple[jax.Array, jax.Array], train: bool = False
    ) -> tuple[jax.Array, Endpoints]:
        """Runs one network of the space.

        Args:
          inputs: images as `Classifier` takes them, and the path: the choice at each
            position, int32 [positions]. Images alone are enough to initialise.
          train: see `Classifier`.

        Returns:
          As `Classifier`.
        """
        images, path = inputs if isinstance(inputs, tuple) else (inputs, None)
        return self.classifier(images, train, path)

    def role(self, module_name: str) -> Role:
        """See `HasRoles`: as of the networks."""
        return "head" if module_name == OUTPUT_LAYER else "backbone"


def extract(space: SearchSpace, variables: dict, genes: Genes) -> dict:
    """The variables of one network of the space.

    Args:
      space: of the supernet.
      variables: {"params", "batch_stats"} of the supernet.
      genes: of the network.

    Returns:
      {"params", "batch_stats"} of `space.network(genes)`: the same arrays.

    Raises:
      UserError: there are no such genes.
    """
    space.check_genes(genes)
    chosen = {
        f"block{position}": f"choice{gene}"
        for position, gene in zip(space.positions, genes, strict=True)
    }
    return {
        collection: {
            module: values[chosen[module]] if module in chosen else values
            for module, values in modules.items()
        }
        for collection, modules in variables.items()
    }
