"""The rows of published.csv: what papers and released models say of a network.

`parameters` and `million_madds` are exact, counted on the released models by timm,
Keras and torchvision; the others are the source's own, rounded or, in places, wrong.
"""

import csv
import dataclasses
import importlib.resources

from mobilenets.networks.architectures import get_spec
from mobilenets.networks.spec import ClassifierSpec, with_backbone


@dataclasses.dataclass(frozen=True)
class Row:
    """One line; what the source does not say is ""."""

    architecture: str
    options: str  # "width_multiplier=0.75", or "shallow" of MobileNetV1's Table 5
    resolution: str
    parameters: str
    million_madds: str
    published_million_parameters: str
    published_million_madds: str
    published_top1: str
    source: str
    family: str  # of the curve in `published_curves` that it is on, if it is on one
    whose: str  # the curve's numbers are
    label: str  # what distinguishes it from the others of its curve

    def spec(self) -> ClassifierSpec:
        """The network of the row, from our tables."""
        name, _, value = self.options.partition("=")
        overrides = {}
        if value:
            kind = {"width_multiplier": float, "reduction": int}.get(name, str)
            overrides = {name: kind(value)}
        spec = get_spec(self.architecture, resolution=int(self.resolution), **overrides)
        if self.options == "shallow":  # without the five equal blocks of 512 channels
            blocks = spec.backbone.blocks
            spec = with_backbone(spec, blocks=blocks[:6] + blocks[11:])
        return spec

    def __str__(self) -> str:
        options = f" {self.options}" if self.options else ""
        return f"{self.architecture}{options} at {self.resolution}: {self.source}"


with (
    importlib.resources.files("mobilenets.networks") / "published.csv"
).open() as file:
    ROWS = [Row(**row) for row in csv.DictReader(file)]
