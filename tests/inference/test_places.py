"""Predicted places: the likeliest cells, as files, as a map, and in exported files."""

import csv
import dataclasses
import functools
import json

import numpy as np
import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.cli import predict
from mobilenets.export import exported, exporting
from mobilenets.export.formats import Options
from mobilenets.inference import places, prediction
from tests.inference.test_trained import small_net

TOKENS = ("1", "47e4", "7", "b")
PLACES = ((0.0, 2.0), (48.0, 2.0), (-17.0, 179.5), (-90.0, 0.0))


@functools.cache
def net_of_cells():
    net = small_net(classes=TOKENS)
    description = net.description.model_copy(
        update={"task": "geolocalization", "places": PLACES}
    )
    return dataclasses.replace(net, description=description)


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{name}.png" for name in "ab"]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(path)
    return paths


def located(net, photos, top=3):
    readable = prediction.read_photos(photos, net, pytest.fail)
    return [*places.locate(net, readable, top)]


def test_the_likeliest_cells_come_first(photos):
    net = net_of_cells()
    for one in located(net, photos, top=9):
        chances = [cell.probability for cell in one.cells]
        assert sum(chances) == pytest.approx(1, rel=1e-5)
        assert chances == sorted(chances, reverse=True)
        for cell in one.cells:
            place = PLACES[TOKENS.index(cell.cell)]
            assert (cell.latitude, cell.longitude) == place
        pixels = one.photo.pixels[None]
        best = one.cells[0]
        np.testing.assert_array_equal(
            net.locate(pixels), [(best.latitude, best.longitude)]
        )


def test_they_are_written_and_drawn(photos, tmp_path):
    found = located(net_of_cells(), photos)
    places.write_json(found, tmp_path / "p.json")
    places.write_csv(found, tmp_path / "p.csv")
    objects = json.loads((tmp_path / "p.json").read_text())
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    for one, value, row in zip(found, objects, rows, strict=True):
        best = one.cells[0]
        assert value["path"] == row["path"] == str(one.photo.path)
        assert value["latitude"] == float(row["latitude"]) == best.latitude
        assert value["longitude"] == float(row["longitude"]) == best.longitude
        assert value["cells"] == [dataclasses.asdict(cell) for cell in one.cells]
    places.draw(found, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width == 1100
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


@pytest.mark.slow
def test_an_exported_file_knows_its_places(photos, tmp_path):
    net, file = net_of_cells(), tmp_path / "places.stablehlo"
    exporting.write(file, *exporting.export(net, "stablehlo", Options()))
    again = exported.load(str(file))
    assert again.description == net.description
    for a, b in zip(located(net, photos), located(again, photos), strict=True):
        assert [c.cell for c in a.cells] == [c.cell for c in b.cells]


def test_weights_without_places_say_so():
    net = net_of_cells()
    with pytest.raises(UserError, match=r"must have the shape \[N, 32, 32, 3\]"):
        net.locate(np.zeros((1, 16, 16, 3), np.uint8))
    changes = {"task": "classification", "places": None}
    description = net.description.model_copy(update=changes)
    net = dataclasses.replace(net, description=description)
    with pytest.raises(UserError, match="for classification, which has no places"):
        net.locate(np.zeros((1, 32, 32, 3), np.uint8))


def test_options_of_other_predictions_are_refused():
    with pytest.raises(UserError, match="attributes, but these predict places: leave"):
        predict._refuse_others({"threshold": 0.5}, net_of_cells())
    predict._refuse_others({"threshold": None, "top": 3, "csv": "x"}, net_of_cells())
