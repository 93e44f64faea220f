"""What the papers' networks reach on ImageNet, to look at beside a sweep of one's own.

Data only. A test holds each row to `published.csv`, where the sources are:

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
from collections.abc import Collection, Sequence


@dataclasses.dataclass(frozen=True)
class Network:
    """A published network.

    Args:
      label: what tells it from the others of its curve, for a picture.
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


def _grid(
    architecture: str, source: str, rows: Sequence[tuple[float, int, float, float]]
) -> tuple[Network, ...]:
    """Networks that differ in width multiplier and resolution."""
    return tuple(
        Network(
            f"{width:g}, {resolution}",
            architecture,
            "" if width == 1 else f"width_multiplier={width:g}",
            resolution,
            million_madds,
            top1,
            source,
        )
        for width, resolution, million_madds, top1 in rows
    )


def _table(
    source: str, rows: Sequence[tuple[str, str, str, int, float, float]]
) -> tuple[Network, ...]:
    """Networks that have a name each."""
    return tuple(Network(*row, source) for row in rows)


_V1_SLIM = "slim's nets/mobilenet_v1.md"
_V2_SLIM = "slim's nets/mobilenet/README"
_V3 = "1905.02244v5, Table 9"
_MNASNET_SITE = "the TPU models' mnasnet/README"
_SENET = "1709.01507, Table 2"

# fmt: off
CURVES = (
    Curve("MobileNetV1", "the paper", (
        *_grid("mobilenet_v1", "1704.04861, Table 6", [
            # width multiplier, resolution, million MAdds, top-1
            (1.0,  224, 568.7, 70.6),
            (0.75, 224, 325.4, 68.4),
            (0.5,  224, 149.5, 63.7),
            (0.25, 224,  41.0, 50.6),
        ]),
        *_grid("mobilenet_v1", "1704.04861, Table 7", [
            (1.0,  192, 418.1, 69.1),
            (1.0,  160, 290.7, 67.2),
            (1.0,  128, 186.4, 64.4),
        ]),
    )),
    Curve("MobileNetV1", "its authors' release", _grid("mobilenet_v1", _V1_SLIM, [
        (1.0,  224, 568.7, 70.9),
        (1.0,  192, 418.1, 70.0),
        (1.0,  160, 290.7, 68.0),
        (1.0,  128, 186.4, 65.2),
        (0.75, 224, 325.4, 68.4),
        (0.75, 192, 239.3, 67.2),
        (0.75, 160, 166.4, 65.3),
        (0.75, 128, 106.8, 62.1),
        (0.5,  224, 149.5, 63.3),
        (0.5,  192, 110.0, 61.7),
        (0.5,  160,  76.5, 59.1),
        (0.5,  128,  49.2, 56.3),
        (0.25, 224,  41.0, 49.8),
        (0.25, 192,  30.2, 47.7),
        (0.25, 160,  21.1, 45.5),
        (0.25, 128,  13.6, 41.5),
    ])),
    Curve("MobileNetV2", "the paper", _grid("mobilenet_v2", "1801.04381, Table 4", [
        (1.0, 224, 300.8, 72.0),
        (1.4, 224, 582.2, 74.7),
    ])),
    Curve("MobileNetV2", "its authors' release", _grid("mobilenet_v2", _V2_SLIM, [
        (1.4,  224, 582.2, 75.0),
        (1.3,  224, 509.4, 74.4),
        (1.0,  224, 300.8, 71.8),
        (1.0,  192, 221.3, 70.7),
        (1.0,  160, 154.1, 68.8),
        (1.0,  128,  99.1, 65.3),
        (1.0,   96,  56.3, 60.3),
        (0.75, 224, 209.1, 69.8),
        (0.75, 192, 153.9, 68.7),
        (0.75, 160, 107.3, 66.4),
        (0.75, 128,  69.1, 63.2),
        (0.75,  96,  39.4, 58.8),
        (0.5,  224,  97.1, 65.4),
        (0.5,  192,  71.7, 63.9),
        (0.5,  160,  50.2, 61.0),
        (0.5,  128,  32.6, 57.7),
        (0.5,   96,  18.9, 51.2),
        (0.35, 224,  59.3, 60.3),
        (0.35, 192,  43.9, 58.2),
        (0.35, 160,  30.9, 55.7),
        (0.35, 128,  20.2, 50.8),
        (0.35,  96,  11.9, 45.5),
    ])),
    Curve("MobileNetV3-Large", "the paper", _grid("mobilenet_v3_large", _V3, [
        (1.25, 224, 355.9, 76.6),
        (1.0,  224, 216.6, 75.2),
        (0.75, 224, 154.6, 73.3),
        (0.5,  224,  69.2, 68.8),
        (0.35, 224,  39.5, 64.2),
        (1.0,  256, 281.7, 76.0),
        (1.0,  192, 160.2, 73.7),
        (1.0,  160, 112.5, 71.7),
        (1.0,  128,  73.4, 68.4),
        (1.0,   96,  43.1, 63.3),
    ])),
    Curve("MobileNetV3-Small", "the paper", _grid("mobilenet_v3_small", _V3, [
        (1.25, 224, 91.2, 70.4),
        (1.0,  224, 56.5, 67.5),
        (0.75, 224, 43.4, 65.4),
        (0.5,  224, 21.1, 58.0),
        (0.35, 224, 12.8, 49.8),
        (1.0,  256, 73.2, 68.5),
        (1.0,  160, 29.8, 62.8),
        (1.0,  128, 19.8, 57.3),
        (1.0,   96, 12.1, 51.7),
    ])),
    Curve("MnasNet", "the paper and its authors' release", (
        *_table("1807.11626, Table 1", [
            # label, architecture, options, resolution, million MAdds, top-1
            ("A1",      "mnasnet_a1", "",                      224, 311.6, 75.2),
        ]),
        *_table("1807.11626, Table 2", [
            ("B1",      "mnasnet_b1", "",                      224, 314.4, 74.5),
        ]),
        *_table(_MNASNET_SITE, [
            ("A1 1.4",  "mnasnet_a1", "width_multiplier=1.4",  224, 586.3, 77.2),
            ("A1 0.75", "mnasnet_a1", "width_multiplier=0.75", 224, 223.4, 73.3),
            ("A1 0.5",  "mnasnet_a1", "width_multiplier=0.5",  224, 103.2, 68.9),
        ]),
    )),
    Curve("EfficientNet", "the paper", _table("1905.11946v5, Table 2", [
        ("B0", "efficientnet_b0", "", 224,   385.8, 77.1),
        ("B1", "efficientnet_b1", "", 240,   686.8, 79.1),
        ("B2", "efficientnet_b2", "", 260,   993.6, 80.1),
        ("B3", "efficientnet_b3", "", 300,  1827.1, 81.6),
        ("B4", "efficientnet_b4", "", 380,  4393.8, 82.9),
        ("B5", "efficientnet_b5", "", 456, 10266.4, 83.6),
        ("B6", "efficientnet_b6", "", 528, 19067.6, 84.0),
        ("B7", "efficientnet_b7", "", 600, 37745.9, 84.3),
    ])),
    Curve("EfficientNet-Lite", "its authors' release", _table(
        "the TPU models' lite/README", [
            ("Lite0", "efficientnet_lite0", "", 224,  385.2, 75.1),
            ("Lite1", "efficientnet_lite1", "", 240,  600.2, 76.7),
            ("Lite2", "efficientnet_lite2", "", 260,  859.7, 77.6),
            ("Lite3", "efficientnet_lite3", "", 280, 1383.3, 79.8),
            ("Lite4", "efficientnet_lite4", "", 300, 2553.0, 81.5),
        ],
    )),
    Curve("MoGA", "the paper", _table("1908.01314, Table 3", [
        ("A", "moga_a", "", 224, 304.0, 75.9),
        ("B", "moga_b", "", 224, 248.6, 75.5),
        ("C", "moga_c", "", 224, 221.1, 75.3),
    ])),
    Curve("ResNet", "in SENet's paper", _table(_SENET, [
        ("50",  "resnet50",  "version=v1", 224,  3858.0, 75.2),
        ("101", "resnet101", "version=v1", 224,  7570.2, 76.83),
        ("152", "resnet152", "version=v1", 224, 11282.4, 77.58),
    ])),
    Curve("SE-ResNet", "the paper", _table(_SENET, [
        ("SE-50",  "se_resnet50",  "", 224,  3860.5, 76.71),
        ("SE-101", "se_resnet101", "", 224,  7574.9, 77.62),
        ("SE-152", "se_resnet152", "", 224, 11289.0, 78.43),
    ])),
)
# fmt: on
