"""A segmenter that sees each image several times, in evaluation."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mobilenets.nn.backbone import Endpoints
from mobilenets.nn.roles import Role
from mobilenets.nn.segmenter import SegmentationLogits, Segmenter
from mobilenets.segmentation.resizing import resize


class MultiScale(nn.Module):
    """The mean of the probabilities at several sizes, and of mirrored images.

    As DeepLab's best results are made. In training it is the network as it is, whose
    parameters have the same names.

    Args:
      network: the segmenter.
      scales: sizes of the images, as multiples of their own.
      flip: whether each is seen mirrored, too.
    """

    network: Segmenter
    scales: Sequence[float]
    flip: bool

    def setup(self):
        """Shares the parameters; Linen calls it."""
        nn.share_scope(self, self.network)

    @property
    def frozen(self) -> tuple[str, ...]:
        """See `Segmenter`."""
        return self.network.frozen

    def role(self, module_name: str) -> Role:
        """See `HasRoles`."""
        return self.network.role(module_name)

    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> tuple[SegmentationLogits, Endpoints]:
        """As `Segmenter`; in evaluation the logits are those of the mean."""
        if train:
            return self.network(images, train)
        size, resizing = (images.shape[1], images.shape[2]), self.network.spec.resizing
        total, endpoints = jnp.zeros(()), {}
        for scale in self.scales:
            # Between the centres of the first and the last pixel: half of 513 is 257.
            height, width = (round((n - 1) * scale) + 1 for n in size)
            seen = resize(images, (height, width), resizing)
            for is_mirrored in (False, True)[: 1 + self.flip]:
                step = -1 if is_mirrored else 1
                outputs, endpoints = self.network(seen[:, :, ::step])
                logits = resize(outputs.logits[:, :, ::step], size, resizing)
                total += jax.nn.softmax(logits)
        # Of a probability of 0 the logarithm has no neighbours to interpolate with.
        least = jnp.finfo(total.dtype).tiny
        return SegmentationLogits(jnp.log(jnp.maximum(total, least)), None), endpoints
