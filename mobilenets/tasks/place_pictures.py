"""Pictures of predicted places, beside the true ones."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure  # not pyplot, which has a notebook's own state

from mobilenets.geography import sphere
from mobilenets.geography.world_map import draw_world
from mobilenets.inference.montage import RIGHT, WRONG, Titled, draw_images

COLUMNS = (
    "image",
    "latitude",
    "longitude",
    "predicted_latitude",
    "predicted_longitude",
    "distance_km",
    "cell",
    "predicted_cell",
)


@dataclasses.dataclass(frozen=True)
class Compared:
    """An image, where it was taken, and where it is predicted to be."""

    image: np.ndarray  # [H, W, 3], values of 0 to 255
    place: tuple[float, float]
    predicted: tuple[float, float]
    is_right: bool  # whether the cell is
    distance_km: float


def compared(
    example: Mapping[str, np.ndarray],
    probabilities: np.ndarray,
    places: Sequence[tuple[float, float]],
) -> Compared:
    """What is drawn of an example.

    Args:
      example: of `Geolocalization.eval_batches`.
      probabilities: of the cells.
      places: of the cells.
    """
    number = int(probabilities.argmax())
    predicted = places[number]
    latitude, longitude = example["place"].tolist()
    distance = sphere.distances_km(example["place"], np.array(predicted))
    return Compared(
        example["image"],
        (latitude, longitude),
        predicted,
        number == int(example["label"]),
        float(distance),
    )


def draw_comparison(worst: Sequence[Compared], images: int, path: pathlib.Path) -> None:
    """Draws images with the predicted and the true place; those in a wrong cell in red.

    Args:
      worst: the images, the farthest off first.
      images: among how many they are the worst.
      path: the PNG file to write.
    """
    titled: list[Titled] = []
    for one in worst:
        title = (
            f"{one.distance_km:,.0f} km off\n{sphere.in_words(*one.predicted)}\n"
            f"true: {sphere.in_words(*one.place)}"
        )
        titled.append((one.image, title, RIGHT if one.is_right else WRONG))
    heading = (
        f"The {len(titled)} of {images:,} images that are located worst, the farthest "
        "first; those in another cell than their own in red"
    )
    draw_images(titled, heading, path)


def draw_errors(located: np.ndarray, path: pathlib.Path) -> None:
    """Draws a map with the true place of each image, its colour the distance.

    Args:
      located: see `metrics.distances.rows`.
      path: the PNG file to write.
    """
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    axis = figure.subplots()
    draw_world(axis)
    points = axis.scatter(
        located["longitude"],
        located["latitude"],
        c=located["distance_km"].clip(1),
        s=8,
        norm="log",
        cmap="viridis_r",
        zorder=3,
    )
    figure.colorbar(points, label="distance of the prediction, km", shrink=0.8)
    axis.set_title("Where the images were taken, and how far off they are located")
    figure.savefig(path, dpi=110)
