"""How far predicted places are from the true ones."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mobilenets.geography.sphere import distances_km
from mobilenets.metrics.base import Batch

# Continent, country, region, city and street, as PlaNet reports them.
SCALES_KM = (2500, 750, 200, 25, 1)

# What is known of an image that was evaluated.
_LOCATED = np.dtype(
    [
        ("index", np.int32),  # the place of the image in its source
        ("label", np.int32),  # the true cell, below 0 where it is none
        ("predicted", np.int32),
        ("latitude", np.float64),  # the true ones
        ("longitude", np.float64),
        ("distance_km", np.float64),  # of the place of the predicted cell
    ]
)


@dataclasses.dataclass(frozen=True)
class Distances:
    """The parts of all images that are located within some distances, and in the cell.

    An image whose true place is in no cell counts as any other: it cannot be in its
    cell, but near. The total is a list with an array of each batch, see `rows`.

    Args:
      places: latitude and longitude of each cell, see `Cells`.
    """

    places: tuple[tuple[float, float], ...]

    names = (
        *(f"within_{scale}_km" for scale in SCALES_KM),
        "cell_accuracy",
        "in_a_cell",
        "count",
    )
    less_is_better = frozenset()

    def empty(self) -> list[np.ndarray]:
        """See `Metric`."""
        return []

    def update(self, outputs: Any, batch: Batch) -> dict[str, jax.Array]:
        """A row for each example.

        Args:
          outputs: (logits [N, cells], endpoints).
          batch: with "label" and "index" [N] int32, "place" [N, 2] float32, which is
            exact to two metres, and "mask" [N].
        """
        logits, _ = outputs
        rows = {key: batch[key] for key in ("index", "label", "place", "mask")}
        return {**rows, "predicted": logits.argmax(-1).astype(jnp.int32)}

    def merge(
        self, total: list[np.ndarray], update: dict[str, np.ndarray]
    ) -> list[np.ndarray]:
        """Appends the rows of real examples, with their distances."""
        real = np.asarray(update["mask"]) > 0
        rows = {key: np.asarray(value)[real] for key, value in update.items()}
        new = np.zeros(np.count_nonzero(real), _LOCATED)
        for key in ("index", "label", "predicted"):
            new[key] = rows[key]
        new["latitude"], new["longitude"] = rows["place"].T
        found = np.array(self.places)[rows["predicted"]]
        new["distance_km"] = distances_km(rows["place"], found)
        total.append(new)
        return total

    def compute(self, total: list[np.ndarray]) -> dict[str, float]:
        """See `Metric`."""
        located = rows(total)
        distances = located["distance_km"]
        parts = {
            f"within_{scale}_km": float((distances <= scale).mean())
            for scale in SCALES_KM
        }
        hits = located["predicted"] == located["label"]
        return parts | {
            "cell_accuracy": float(hits.mean()),
            "in_a_cell": float((located["label"] >= 0).mean()),
            "count": float(len(located)),
        }

    def by_cell(self, total: list[np.ndarray]) -> list[dict[str, float]]:
        """Of each cell how many images are in it, and which part is found there."""
        located = rows(total)
        known = located[located["label"] >= 0]
        cells = len(self.places)
        images = np.bincount(known["label"], minlength=cells)
        hits = known["label"][known["label"] == known["predicted"]]
        with np.errstate(invalid="ignore"):
            accuracy = np.bincount(hits, minlength=cells) / images
        return [
            {"images": float(count), "accuracy": float(part)}
            for count, part in zip(images, accuracy, strict=True)
        ]


def rows(total: list[np.ndarray]) -> np.ndarray:
    """A record for each image of a total, in the order of the set.

    With "index", "label" and "predicted", the numbers of the true and the predicted
    cell, "latitude" and "longitude", the true ones, and "distance_km".
    """
    located = np.concatenate([np.zeros(0, _LOCATED), *total])
    return located[np.argsort(located["index"], kind="stable")]
