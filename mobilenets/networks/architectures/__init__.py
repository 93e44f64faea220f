"""The papers' networks by name. No JAX: a spec is data."""

import dataclasses
import inspect
import typing
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from mobilenets.errors import UserError, unknown
from mobilenets.networks import limits
from mobilenets.networks.architectures.efficientnet import (
    RELEASED,
    RELEASED_LITE,
    efficientnet,
)
from mobilenets.networks.architectures.mnasnet import mnasnet
from mobilenets.networks.architectures.mobilenet_v1 import mobilenet_v1, se_mobilenet_v1
from mobilenets.networks.architectures.mobilenet_v2 import mobilenet_v2
from mobilenets.networks.architectures.mobilenet_v3 import mobilenet_v3
from mobilenets.networks.architectures.moga import moga, moga_a, moga_space
from mobilenets.networks.architectures.resnet import resnet, se_resnet
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.spec import (
    BackboneSpec,
    BasicSpec,
    BlockSpec,
    BottleneckSpec,
    ChoiceSpec,
    ClassifierSpec,
    HasBackbone,
    Padding,
    Spec,
    backbone_of,
    with_backbone,
    with_drop_path,
)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A released network."""

    make: Callable[..., ClassifierSpec]  # without arguments: exactly the released one
    top1: float  # on ImageNet, in percent, as the source reports it
    source: str  # a paper by its number on arXiv


def _efficientnet(variant: str) -> Callable[..., ClassifierSpec]:
    values = dataclasses.asdict((RELEASED | RELEASED_LITE)[variant])
    return partial(efficientnet, variant, **values)


_V3 = "1905.02244v5, Table 3"
_SLIM = "slim's nets/mobilenet/README"
_EFFICIENTNET = "1905.11946v5, Table 2"
_LITE = "the TPU models' lite/README"
_MNASNET_B1 = "1807.11626, Table 2 (not checked)"
_MOGA = "1908.01314, Table 3"
_SENET = "1709.01507, Table 2"

# fmt: off
ARCHITECTURES = {
    "mobilenet_v1": Architecture(mobilenet_v1, 70.6, "1704.04861, Table 6"),
    "mobilenet_v2": Architecture(mobilenet_v2, 72.0, "1801.04381, Table 4"),
    "mobilenet_v3_large":
        Architecture(partial(mobilenet_v3, "large", "standard"), 75.2, _V3),
    "mobilenet_v3_small":
        Architecture(partial(mobilenet_v3, "small", "standard"), 67.4, _V3),
    "mobilenet_v3_large_minimalistic":
        Architecture(partial(mobilenet_v3, "large", "minimalistic"), 72.3, _SLIM),
    "mobilenet_v3_small_minimalistic":
        Architecture(partial(mobilenet_v3, "small", "minimalistic"), 61.9, _SLIM),
    "efficientnet_b0": Architecture(_efficientnet("b0"), 77.1, _EFFICIENTNET),
    "efficientnet_b1": Architecture(_efficientnet("b1"), 79.1, _EFFICIENTNET),
    "efficientnet_b2": Architecture(_efficientnet("b2"), 80.1, _EFFICIENTNET),
    "efficientnet_b3": Architecture(_efficientnet("b3"), 81.6, _EFFICIENTNET),
    "efficientnet_b4": Architecture(_efficientnet("b4"), 82.9, _EFFICIENTNET),
    "efficientnet_b5": Architecture(_efficientnet("b5"), 83.6, _EFFICIENTNET),
    "efficientnet_b6": Architecture(_efficientnet("b6"), 84.0, _EFFICIENTNET),
    "efficientnet_b7": Architecture(_efficientnet("b7"), 84.3, _EFFICIENTNET),
    "efficientnet_lite0": Architecture(_efficientnet("lite0"), 75.1, _LITE),
    "efficientnet_lite1": Architecture(_efficientnet("lite1"), 76.7, _LITE),
    "efficientnet_lite2": Architecture(_efficientnet("lite2"), 77.6, _LITE),
    "efficientnet_lite3": Architecture(_efficientnet("lite3"), 79.8, _LITE),
    "efficientnet_lite4": Architecture(_efficientnet("lite4"), 81.5, _LITE),
    "mnasnet_a1": Architecture(partial(mnasnet, "a1"), 75.2, "1807.11626, Table 1"),
    "mnasnet_b1": Architecture(partial(mnasnet, "b1"), 74.5, _MNASNET_B1),
    "moga_a": Architecture(moga_a, 75.9, _MOGA),
    "moga_b": Architecture(partial(moga, "b"), 75.5, _MOGA),
    "moga_c": Architecture(partial(moga, "c"), 75.3, _MOGA),
    "resnet50": Architecture(partial(resnet, 50), 76.0, "1905.11946, Table 2"),
    "resnet101": Architecture(partial(resnet, 101), 76.83, f"{_SENET} (v1)"),
    "resnet152": Architecture(partial(resnet, 152), 77.58, f"{_SENET} (v1)"),
    "se_resnet50": Architecture(partial(se_resnet, 50), 76.71, _SENET),
    "se_resnet101": Architecture(partial(se_resnet, 101), 77.62, _SENET),
    "se_resnet152": Architecture(partial(se_resnet, 152), 78.43, _SENET),
    "se_mobilenet_v1": Architecture(se_mobilenet_v1, 74.7, "1709.01507, Table 3"),
}
# fmt: on

# What can be searched, by name.
SEARCH_SPACES: dict[str, Callable[..., SearchSpace]] = {"moga": moga_space}

_FRACTION = (lambda v: 0 <= v < 1, "at least 0 and below 1")
_MULTIPLIER = (lambda v: 0 < v <= 1024, "above 0 and at most 1024")
_POSITIVE = (
    lambda v: isinstance(v, int) and 0 < v <= 2**14,
    "a positive integer of at most 16384",
)
# Below, float32 cannot tell the variance of a dead channel from 0.
_EPSILON = (lambda v: 1e-16 <= v <= 1, "at least 1e-16 and at most 1")


def _one_of(values: tuple) -> tuple[Callable[[Any], bool], str]:
    allowed = [(type(value), value) for value in values]  # 1.0 and 1 are equal
    return (lambda v: (type(v), v) in allowed), " or ".join(map(repr, values))


# The fields of a finished spec that a caller may replace, and what each may be. The
# others follow from the paper's table.
_OF_BACKBONE = {
    "resolution": _POSITIVE,
    "stem_stride": _one_of((1, 2)),
    "bn_momentum": _FRACTION,
    "bn_epsilon": _EPSILON,
    "padding": _one_of(typing.get_args(Padding)),
}
_OF_HEAD = {"dropout_rate": _FRACTION}
_OF_BLOCKS = {"drop_path_rate": _FRACTION}
# The same of the arguments of the architectures' functions.
_ARGUMENTS = {
    "width_multiplier": _MULTIPLIER,
    "depth_multiplier": _MULTIPLIER,
    "reduction": _POSITIVE,
    "rounding": _one_of(("floor", "make_divisible")),
    "layout": _one_of(("code", "figure")),
    "version": _one_of(("v1", "v1.5")),
    "open_layers": _one_of(("all", "residual")),
}


def get_spec(name: str, **overrides: Any) -> ClassifierSpec:
    """The network of that name. Without overrides it is exactly the released one.

    Args:
      name: a key of `ARCHITECTURES`.
      **overrides: options of the network, such as `width_multiplier` and `resolution`,
        and those of `replace`, such as `dropout_rate`.

    Raises:
      UserError: the name or a key is unknown, a value is out of its range, or the
        resolution is smaller than the network's output stride.

    >>> get_spec("mobilenet_v2", width_multiplier=0.5).backbone.stem_channels
    16
    """
    if name not in ARCHITECTURES:
        raise unknown("architecture", str(name), ARCHITECTURES, "mobilenets list")
    return _made(name, ARCHITECTURES[name].make, overrides)


def get_search_space(name: str, **overrides: Any) -> SearchSpace:
    """The search space of that name. Without overrides it is the paper's.

    Args:
      name: a key of `SEARCH_SPACES`.
      **overrides: as of `get_spec`.

    Raises:
      UserError: as `get_spec`.

    >>> get_search_space("moga").size == 12**14
    True
    """
    if name not in SEARCH_SPACES:
        raise unknown("search space", str(name), SEARCH_SPACES)
    return _made(name, SEARCH_SPACES[name], overrides)


def _made(name: str, make: Callable[..., Spec], overrides: dict[str, Any]) -> Spec:
    """What a function makes with some of the values, the others replaced in it."""
    arguments = inspect.signature(make).parameters
    of_make = {k: v for k, v in _ARGUMENTS.items() if k in arguments}
    rules = _OF_BACKBONE | _OF_HEAD | _OF_BLOCKS | of_make
    _check(name, overrides, rules)
    spec = make(**{k: v for k, v in overrides.items() if k in arguments})
    rest = {k: v for k, v in overrides.items() if k not in arguments}
    if rate := rest.pop("drop_path_rate", 0.0):
        spec = _with_drop_path(name, spec, rate)
    return replace(spec, **rest)


def _with_drop_path(name: str, spec: Spec, rate: float) -> Spec:
    """See `with_drop_path`; raises UserError if the network has nothing to drop."""
    blocks = backbone_of(spec).blocks
    if not any(isinstance(block, BlockSpec) and block.residual for block in blocks):
        raise UserError(
            f"{name}: drop_path_rate is for inverted residuals that add their input, "
            "of which the network has none: leave it out."
        )
    return with_drop_path(spec, rate)


def replace(spec: Spec, **overrides: Any) -> Spec:
    """The network with other values that do not depend on its table.

    Args:
      spec: the network, or a backbone.
      **overrides: `resolution`, `stem_stride` (1 suits images of 32 pixels),
        `bn_momentum`, `bn_epsilon`, `padding`; for a classifier also `dropout_rate`.

    Raises:
      UserError: a key is unknown, a value is out of its range, the resolution is
        smaller than the output stride, or the blocks do not fit together.
    """
    _check(spec.name, overrides, _rules(spec))
    of_backbone = {k: v for k, v in overrides.items() if k in _OF_BACKBONE}
    if not isinstance(spec, BackboneSpec):  # a head may have such a field of its own
        own = {field.name for field in dataclasses.fields(cast(Any, spec))}
        of_head = {k: v for k, v in overrides.items() if k in own}
        spec = dataclasses.replace(cast(Any, spec), **of_head)
    spec = with_backbone(spec, **of_backbone)
    limits.check(spec)
    _check_blocks(spec)
    _check_resolution(backbone_of(spec))
    return spec


def check(spec: BackboneSpec | HasBackbone) -> None:
    """Raises the UserError of `replace` if it would not give the network its values."""
    limits.check(spec)
    values = {f: getattr(backbone_of(spec), f) for f in _OF_BACKBONE}
    values |= {f: getattr(spec, f) for f in _rules(spec) if f not in _OF_BACKBONE}
    _check(spec.name, values, _rules(spec))
    _check_blocks(spec)
    _check_resolution(backbone_of(spec))


def _rules(spec: BackboneSpec | HasBackbone) -> dict[str, Any]:
    has_head = isinstance(spec, ClassifierSpec | SearchSpace)
    return _OF_BACKBONE | (_OF_HEAD if has_head else {})


def _check_blocks(spec: BackboneSpec | HasBackbone) -> None:
    """Raises UserError unless each block takes what stands before it gives."""
    backbone = backbone_of(spec)
    if not backbone.blocks:
        raise UserError(f"{backbone.name} has no blocks: give at least one.")
    is_open = any(isinstance(block, ChoiceSpec) for block in backbone.blocks)
    if is_open != isinstance(spec, SearchSpace):
        some = "open blocks, so it is a" if is_open else "no open block, so it is no"
        raise UserError(f"{backbone.name} has {some} search space.")
    before, width = "the stem", backbone.stem_channels
    for i, block in enumerate(backbone.blocks):
        if isinstance(block, ChoiceSpec):
            _check_choices(backbone.name, i, block)
        choices = block.choices if isinstance(block, ChoiceSpec) else (block,)
        if block.in_channels != width:
            raise UserError(
                f"{backbone.name} does not fit together: block{i} takes "
                f"{block.in_channels} channels, but {before} gives {width}."
            )
        same = block.stride == 1 and block.in_channels == block.out_channels
        if any(map(_adds_input, choices)) and not same:
            raise UserError(
                f"{backbone.name} does not fit together: block{i} adds its input to "
                "its output, but changes its size or its channels."
            )
        before, width = f"block{i}", block.out_channels


def _check_choices(name: str, number: int, block: ChoiceSpec) -> None:
    """Raises UserError unless the choices of an open block differ and fit alike."""
    if len(block.choices) < 2:
        raise UserError(f"{name}: the open block{number} needs at least two choices.")
    first = _shape(block.choices[0])
    for i, choice in enumerate(block.choices):
        if choice in block.choices[:i]:
            raise UserError(f"{name}: the open block{number} has a choice twice.")
        if isinstance(choice, BlockSpec) and choice.drop_path_rate:
            raise UserError(
                f"{name}: choice{i} of block{number} has stochastic depth, which open "
                "blocks do not have: leave out drop_path_rate."
            )
        if _shape(choice) != first:
            raise UserError(
                f"{name} does not fit together: the choices of block{number} must have "
                "the same input channels, output channels and stride, but choice0 has "
                f"{first} and choice{i} has {_shape(choice)}."
            )


def _shape(block: Any) -> tuple[int, int, int]:
    return block.in_channels, block.out_channels, block.stride


def _adds_input(block: Any) -> bool:
    """Whether it adds its input as it is, as far as the kind of block is known."""
    if isinstance(block, BottleneckSpec | BasicSpec):
        return not block.projection
    return isinstance(block, BlockSpec) and block.residual


def _check_resolution(backbone: BackboneSpec) -> None:
    if backbone.resolution < backbone.output_stride:
        halved = (
            " stem_stride=1 halves the stride." if backbone.stem_stride == 2 else ""
        )
        raise UserError(
            f"The resolution {backbone.resolution} is too small for {backbone.name}: "
            f"its output stride is {backbone.output_stride}, so it needs at least that "
            f"many pixels.{halved}"
        )


def _check(name: str, overrides: dict[str, Any], rules: dict[str, Any]) -> None:
    for key, value in overrides.items():
        if key not in rules:
            raise unknown("option", key, rules, of=str(name))
        is_allowed, range_in_words = rules[key]
        try:
            good = not isinstance(value, bool) and is_allowed(value)
        except TypeError:
            good = False
        if not good:
            raise UserError(
                f"{name}: {key} must be {range_in_words}, but is {value!r}."
            )
