"""Geolocalization as PlaNet does it: a classification of cells of the earth."""

import csv
import operator
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import numpy as np

from mobilenets.config.schema import Configuration, GeolocalizationTask
from mobilenets.data.sources.base import PlacedSource, Source
from mobilenets.data.sources.in_cells import (
    Located,
    PhotosToEvaluate,
    PhotosToTrain,
    check_places,
)
from mobilenets.data.sources.slices import Part
from mobilenets.errors import UserError
from mobilenets.geography import sphere
from mobilenets.geography.cells import NO_CELL, Cells, Partition, partition
from mobilenets.inference.description import Description
from mobilenets.metrics.distances import Distances, rows
from mobilenets.runtime.console import console
from mobilenets.tasks import pictures, place_pictures
from mobilenets.tasks.base import HostBatch
from mobilenets.tasks.classification import Classification

PREDICTIONS_DRAWN = 40


class Geolocalization(Classification):
    """Cross-entropy of cells, and how far their places are from the true ones.

    The cells are made of the places of the training images and saved with the weights.
    The label of an example is the number of its cell, int32. One to evaluate also has
    its "place", latitude and longitude, and may be in no cell: -1.
    """

    labels = "place"
    headline = "within_750_km"

    def __init__(
        self,
        config: Configuration,
        description: Description | None = None,
        sources: Mapping[str, Source] | None = None,
    ):
        super().__init__(config, description, sources)
        self.metric = self.report_metric = Distances(self.cells.places)

    def prepared_sources(
        self,
        sources: Mapping[str, Source],
        config: Configuration,
        description: Description | None,
    ) -> Mapping[str, Source]:
        """The sources with cells.

        They are those of the weights, of the teacher, or are made of the images to
        train.
        """
        for name, source in sources.items():
            may_lack = name == "train" and self.teacher is not None
            check_places(name, source, may_lack)
        placed = cast(Mapping[str, PlacedSource], sources)
        prepared: dict[str, Source] = {}
        if description:
            self.cells = _cells_of(description)
        elif self.teacher:
            self.cells = _cells_of(self.teacher.net.description)
            numbers = self.cells.numbers_of(placed["train"].places)
            _check_some_cells(numbers, config.distillation.label_weight)
            prepared["train"] = PhotosToTrain(placed["train"], self.cells, numbers)
        else:
            made = _partition(placed["train"], cast(GeolocalizationTask, config.task))
            self.cells = made.cells
            photos = PhotosToTrain(placed["train"], made.cells, made.numbers)
            kept = np.flatnonzero(made.numbers != NO_CELL)
            prepared["train"] = Part(photos, kept.tolist())
        self.places = self.cells.places
        for name, source in placed.items():
            if name != "train":
                prepared[name] = PhotosToEvaluate(source, self.cells)
        return prepared

    def _class_weights(self) -> np.ndarray | None:
        """None: all cells count the same."""
        return None

    def labels_to_evaluate(self, source: Source) -> Callable[[Any], dict[str, Any]]:
        """The cell, `NO_CELL` where it is none, and the place; see `LabelledImages`."""
        del source
        return _cell_and_place

    def in_words(self, label: Any) -> str:
        """The place of the cell."""
        if label == NO_CELL:
            return super().in_words(label)
        return sphere.in_words(*self.cells.places[int(label)])

    def draw_predictions(
        self, predict: Callable[[HostBatch], np.ndarray], path: pathlib.Path
    ) -> None:
        """See `Task.draw_predictions`; the worst are those that are farthest off."""

        def compared(
            example: Mapping[str, np.ndarray], probabilities: np.ndarray
        ) -> place_pictures.Compared:
            return place_pictures.compared(example, probabilities, self.cells.places)

        worst, count = pictures.worst(
            self.eval_batches("val"),
            predict,
            compared,
            operator.attrgetter("distance_km"),
            PREDICTIONS_DRAWN,
        )
        if jax.process_index() == 0:
            place_pictures.draw_comparison(worst, count, path)

    def by_class(self, total: Any) -> dict[str, dict[str, float]]:
        """How many images each cell has, and which part of them is found in it."""
        by_cell = self.metric.by_cell(total)
        return dict(zip(self.class_names, by_cell, strict=True))

    def write_report(
        self, name: str, total: Any, folder: pathlib.Path
    ) -> list[pathlib.Path]:
        """A table of all images, and a map of their true places."""
        table, picture = folder / f"{name}_places.csv", folder / f"{name}_places.png"
        located = rows(total)
        names = (*self.class_names, "")  # the last, -1, is no cell
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(place_pictures.COLUMNS)
            for row in located:
                found = self.cells.places[row["predicted"]]
                writer.writerow(
                    [
                        row["index"],
                        *(f"{row[key]:.6f}" for key in ("latitude", "longitude")),
                        *found,
                        f"{row['distance_km']:.3f}",
                        names[row["label"]],
                        names[row["predicted"]],
                    ]
                )
        place_pictures.draw_errors(located, picture)
        return [table, picture]


def _cell_and_place(target: Located | None) -> dict[str, Any]:
    """See `Geolocalization.labels_to_evaluate`."""
    cell, place = target or (NO_CELL, (0.0, 0.0))
    return {"label": np.int32(cell), "place": np.array(place, np.float32)}


def _cells_of(description: Description) -> Cells:
    """The cells of weights."""
    if description.places is None:
        raise UserError(
            f"The weights were trained for {description.task} and have no cells: give "
            "those of a geolocalization."
        )
    return Cells(description.class_names, description.places)


def _check_some_cells(numbers: np.ndarray, label_weight: float) -> None:
    """Prints how many images are taught without a label; it cannot be all of them.

    Args:
      numbers: of the teacher's cells, one for each image to train.
      label_weight: 0 if no labels are needed.

    Raises:
      UserError: none of them is in a cell of the teacher.
    """
    if not label_weight:
        return
    images, labelled = len(numbers), np.count_nonzero(numbers != NO_CELL)
    if not labelled:
        raise UserError(
            f"None of the {images:,} images to train is in a cell of the teacher, but "
            "distillation.label_weight is above 0: give 0 to train on the teacher's "
            "outputs alone, or another teacher."
        )
    if labelled < images:
        console.print(
            f"{labelled:,} of the {images:,} images to train are in a cell of the "
            "teacher. The others are trained on its outputs alone.",
            markup=False,
        )


def _partition(source: PlacedSource, task: GeolocalizationTask) -> Partition:
    """Cells that are made of the images to train; how many are left out is printed.

    Raises:
      UserError: there are not two cells.
    """
    most, fewest = task.max_images_per_cell, task.min_images_per_cell
    made, images = partition(source.places, most, fewest), len(source)
    cells = len(made.cells.tokens)
    if not cells:
        raise UserError(
            f"No cell has task.min_images_per_cell, {fewest}, of the {images:,} images "
            "to train: lower it."
        )
    if cells == 1:
        raise UserError(
            f"The {images:,} images to train have only one cell with at least "
            f"task.min_images_per_cell, {fewest}: lower it, or "
            f"task.max_images_per_cell, {most}, above which a cell is divided."
        )
    line = f"{images - made.dropped_images:,} images to train are in {cells:,} cells."
    if made.dropped_images:
        line += (
            f" Images left out, since their cells have fewer than {fewest}: "
            f"{made.dropped_images:,} (cells: {made.dropped_cells:,})."
        )
    console.print(line, markup=False)
    return made
