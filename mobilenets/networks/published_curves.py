"""What the papers' networks reach on ImageNet, to look at beside a sweep of one's own.

They are the rows of `published.csv` that have a family; their sources are:

    MobileNetV1   Howard et al. 2017, arXiv:1704.04861, Tables 6 and 7, and the sixteen
                  networks that its authors released (slim's nets/mobilenet_v1.md)
    MobileNetV2   Sandler et al. 2018, arXiv:1801.04381, Table 4, and the networks that
                  its authors released (slim's nets/mobilenet/README)
    MobileNetV3   Howard et al. 2019, arXiv:1905.02244v5, Table 9
    MnasNet       Tan et al. 2019, arXiv:1807.11626, Tables 1 and 2, and its authors'
                  widths (the TPU models' mnasnet/README)
    EfficientNet  Tan and Le 2019, arXiv:1905.11946v5, Table 2
    its Lite      the TPU models' lite/README
    MoGA          Chu et al. 2019, arXiv:1908.01314, Table 3
    ResNet        as Hu et al. trained it beside theirs, arXiv:1709.01507, Table 2

Multiply-adds are counted on the networks; the papers round theirs.
"""

import dataclasses
from collections.abc import Collection

from mobilenets.networks import complexity
from mobilenets.networks.published import ROWS, Row


@dataclasses.dataclass(frozen=True)
class Network:
    """A published network.

    Args:
      label: what distinguishes it from the others of its curve, for a picture.
      architecture: its name for `mobilenets.get_spec`.
      options: what else that is given, such as "width_multiplier=0.75"; or "".
      resolution: height and width of the images in pixels.
      million_madds: multiply-adds for one image, in millions.
      top1: on ImageNet's validation images, in percent.
      source: of the top-1, as in `mobilenets/networks/published.csv`.
    """

    label: str
    architecture: str
    options: str
    resolution: int
    million_madds: float
    top1: float
    source: str


@dataclasses.dataclass(frozen=True)
class Curve:
    """Networks of a family that were trained by the same people.

    Args:
      family: its name.
      whose: the numbers are.
      networks: the members.
    """

    family: str
    whose: str
    networks: tuple[Network, ...]


def of_networks(architectures: Collection[str]) -> list[Curve]:
    """The curves of the families that architectures belong to; some have none.

    >>> [curve.family for curve in of_networks({"efficientnet_b0", "moga_b"})]
    ['EfficientNet', 'MoGA']
    >>> of_networks({"se_mobilenet_v1"})
    []
    """
    return [
        curve
        for curve in CURVES
        if any(network.architecture in architectures for network in curve.networks)
    ]


def _network(row: Row) -> Network:
    return Network(
        row.label,
        row.architecture,
        row.options,
        int(row.resolution),
        round(complexity.madds(row.spec()) / 1e6, 1),
        float(row.published_top1),
        row.source,
    )


def _curves() -> tuple[Curve, ...]:
    """In the order in which their first rows come."""
    members: dict[tuple[str, str], list[Network]] = {}
    for row in (row for row in ROWS if row.family):
        members.setdefault((row.family, row.whose), []).append(_network(row))
    return tuple(Curve(*names, tuple(networks)) for names, networks in members.items())


CURVES = _curves()
