"""A kind of block of one's own is counted, profiled, dilated and computed as ours."""

import dataclasses
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from mobilenets import BackboneSpec, complexity
from mobilenets.networks.layers import Layer, conv, divided
from mobilenets.networks.spec import with_output_stride
from mobilenets.nn import blocks
from mobilenets.nn.backbone import Backbone
from mobilenets.profiling import profile_table


@dataclasses.dataclass(frozen=True)
class TwoConvs:
    """Two 3x3 convolutions, the first with the stride."""

    in_channels: int
    out_channels: int
    stride: int
    dilation: int = 1
    se: None = None
    operator: str = "two convs"
    kernel_size: int = 3
    expansion: float = 1.0
    filters_behind_stride: bool = False

    def layers(self, name: str, size: int) -> list[Layer]:
        size, out = divided(size, self.stride), self.out_channels
        return [
            conv(f"{name}/first", size, self.in_channels, out, 3, self.stride),
            conv(f"{name}/second", size, out, out, 3),
        ]


class TwoConvsModule(nn.Module):
    spec: TwoConvs
    conv_bn: Any
    squeeze_excite: Any

    @nn.compact
    def __call__(self, x, train):
        spec = self.spec
        out, dilation = spec.out_channels, spec.dilation
        x = self.conv_bn(out, 3, spec.stride, dilation, act="relu", name="first")(
            x, train
        )
        return self.conv_bn(out, 3, 1, dilation, name="second")(x, train), {}


@pytest.fixture
def spec(monkeypatch):
    monkeypatch.setitem(blocks.BLOCKS, TwoConvs, TwoConvsModule)
    own = (TwoConvs(16, 24, 2), TwoConvs(24, 32, 2))
    return BackboneSpec("own", 33, 16, "relu", cast(Any, own), 0.99, 1e-3, "slim")


def test_its_layers_are_counted(spec):
    # 33 pixels: 17 behind the stem, 9 and 5 behind the blocks.
    expected = 27 * 16 * 17**2
    expected += 9 * (16 * 24 + 24 * 24) * 9**2 + 9 * (24 * 32 + 32 * 32) * 5**2
    assert complexity.madds(spec) == expected
    rows = profile_table.rows(spec)
    assert [row.operator for row in rows] == ["conv", "two convs", "two convs"]
    assert [row.output for row in rows[1:]] == [(9, 9, 24), (5, 5, 32)]


def test_it_is_computed_with_the_parameters_that_are_counted(spec):
    images = jax.ShapeDtypeStruct((2, 33, 33, 3), jnp.float32)
    model = Backbone(spec)
    endpoints, variables = jax.eval_shape(
        model.init_with_output, jax.random.key(0), images
    )
    sizes = [leaf.size for leaf in jax.tree.leaves(variables["params"])]
    assert sum(sizes) == complexity.params(spec)
    assert endpoints["features"].shape == endpoints["stride8"].shape == (2, 5, 5, 32)
    finer = Backbone(with_output_stride(spec, 4))
    endpoints = jax.eval_shape(finer.apply, variables, images)
    assert endpoints["features"].shape == (2, 9, 9, 32)
