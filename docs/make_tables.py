"""Writes the pages that hold our figures beside the papers': two files beside this one.

Run in the root of the repository as: python -m docs.make_tables
"""

import dataclasses
import pathlib

from mobilenets.networks import complexity
from mobilenets.networks.published import ROWS, Row
from mobilenets.networks.scaling import Multipliers, scaled_spec
from mobilenets.networks.spec import with_backbone

FOLDER = pathlib.Path(__file__).parent

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
            "the paper's figure is 569 million (MobileNetV1, Table 6) in one digit.",
        "compound":
            "the paper does not say how many pixels r = 1.3 are, and 288 come nearer.",
    }),
    Network("MobileNetV2 (Table 3)", "mobilenet_v2", (0.3, 1.2, 1.1, 1.2, 1.3), {
        "compound":
            "the paper prints neither the coefficients of this row nor its pixels; "
            "with those of MobileNetV1's row, 288 come nearer.",
    }),
    Network("ResNet-50 (Table 3)", "resnet50", (4.1, 16.2, 14.7, 16.4, 16.7), {
        "depth":
            "the paper's figures for d = 4 and w = 2 look swapped: with the other one "
            "this row is within 1 %.",
        "width":
            "as d = 4: with the other one this row is within 1 %.",
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
            "<!-- written by docs/make_tables.py: change it there -->",
            "",
            "Tan and Le 2019, EfficientNet, [arXiv:1905.11946](https://arxiv.org/abs/"
            "1905.11946), Tables 3 and 7, beside",
            "the networks of "
            "[`mobilenets/networks/scaling.py`](../mobilenets/networks/scaling.py). "
            "What the paper calls FLOPS are multiply-adds (MAdds),",
            "and so are all figures here: for one image, 1000 classes. Repeats are "
            "rounded up, channels to multiples of 8, pixels",
            "to the nearest integer. MobileNetV2's last convolution is widened, too; "
            f"did it keep its 1280 channels, w = 2 had {kept:,.0f} million",
            "MAdds, and the paper's 1.1 billion does not tell which it was.",
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
            cells += ["not in it", ""]
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
        "MAdds of the compound rows in millions, and their deviation from the paper. "
        "224 r is 291.2; 288 is the multiple of",
        "32 below it; 299 is what the caption of the paper's Fig. 4 calls r = 1.3; 300 "
        "is EfficientNet-B3's.",
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
        "# What the papers and the released models say, and what is counted here",
        "",
        "<!-- written by docs/make_tables.py: change it there -->",
        "",
        "Parameters and multiply-adds (MAdds) of every network here are exact and "
        "equal those of the released model, as",
        "timm, Keras and torchvision count them; tests hold every row. Beside them is "
        "what the source prints. **Bold** is a",
        "figure that differs by more than its rounding and 2 %. Top-1 is the "
        "source's, on ImageNet: none was measured here.",
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


PAGES = {"scaling_table_3.md": table_3, "published.md": published}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
        print(f"{FOLDER / name} is written.")
