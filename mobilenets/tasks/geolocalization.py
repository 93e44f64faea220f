"""Geolocalization as PlaNet does it: a classification of cells of the earth."""

import csv
import operator
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import numpy as np

from mobilenets.config.schema import Configuration, GeolocalizationTask
from mobilenets.data import pipeline
from mobilenets.data.sources.base import PlacedSource, Record, Source
from mobilenets.data.sources.in_cells import (
    PhotosToEvaluate,
    PhotosToTrain,
    check_places,
)
from mobilenets.errors import UserError
from mobilenets.geography import sphere
from mobilenets.geography.cells import NO_CELL, Cells, partition
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
        """The sources with cells: those of the weights, or of the images to train."""
        for name, source in sources.items():
            check_places(name, source)
        placed = cast(Mapping[str, PlacedSource], sources)
        prepared: dict[str, Source] = {}
        if description:
            self.cells = _cells_of(description)
        else:
            train, self.cells = _to_train(
                placed["train"], cast(GeolocalizationTask, config.task)
            )
            prepared["train"] = train
        self.places = self.cells.places
        for name, source in placed.items():
            if name != "train":
                prepared[name] = PhotosToEvaluate(source, self.cells)
        return prepared

    def _class_weights(self) -> np.ndarray | None:
        """None: all cells count the same."""
        return None

    def eval_batches(self, name: str) -> pipeline.Batches:
        """Every image once, with its place; see `pipeline.eval_batches`."""
        images = self._image_loader(self._evals[name])

        def load(record: Record) -> dict[str, Any]:
            return {
                "image": images.prepared(record),
                "label": np.int32(record.target.cell),
                "place": np.array(record.target.place, np.float32),
            }

        padding = {
            "image": images.black,
            "label": np.int32(NO_CELL),
            "place": np.zeros(2, np.float32),
        }
        return self.batches_to_evaluate(name, load, padding)

    def in_words(self, label: Any) -> str:
        """The place of the cell."""
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


def _cells_of(description: Description) -> Cells:
    """The cells of weights."""
    if description.places is None:
        raise UserError(
            f"The weights were trained for {description.task} and have no cells: give "
            "those of a geolocalization."
        )
    return Cells(description.class_names, description.places)


def _to_train(source: PlacedSource, task: GeolocalizationTask) -> tuple[Source, Cells]:
    """The images to train, and the cells made of their places, which are told.

    Raises:
      UserError: there are not two cells.
    """
    most, fewest = task.max_images_per_cell, task.min_images_per_cell
    made = partition(source.places, most, fewest)
    images, cells = len(source), made.cells
    if not cells.tokens:
        raise UserError(
            f"No cell has task.min_images_per_cell, {fewest}, of the {images:,} images "
            "to train: lower it."
        )
    if len(cells.tokens) == 1:
        raise UserError(
            f"The {images:,} images to train have only one cell with at least "
            f"task.min_images_per_cell, {fewest}: lower it, or "
            f"task.max_images_per_cell, {most}, above which a cell is divided."
        )
    kept = images - made.dropped_images
    line = f"{kept:,} images to train are in {len(cells.tokens):,} cells."
    if made.dropped_images:
        line += (
            f" Images left out, since their cells have fewer than {fewest}: "
            f"{made.dropped_images:,} (cells: {made.dropped_cells:,})."
        )
    console.print(line, markup=False)
    return PhotosToTrain(source, made), cells
