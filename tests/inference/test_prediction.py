"""Predictions and features are the network's own, for the files that can be read."""

import csv
import dataclasses
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.data.decoding import decode
from mobilenets.data.preprocessing import prepare_image
from mobilenets.inference import prediction, trained
from tests.inference.test_trained import backbone_net, small_net


@pytest.fixture(scope="module")
def net():
    return small_net(classes=("n01440764", "cat", "dog"))


@pytest.fixture
def photos(tmp_path):
    """Twenty small photographs of three kinds of files, in two folders."""
    rng = np.random.default_rng(0)
    for i in range(20):
        folder = tmp_path / "photos" / ("a" if i < 12 else "b")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40 + i, 50, 3), np.uint8)
        kind = ("png", "jpg", "webp")[i % 3]
        Image.fromarray(pixels).save(folder / f"{i:02}.{kind}")
    (tmp_path / "photos/notes.txt").write_text("no image")
    return tmp_path / "photos"


def expected_outputs(net, path):
    """The logits and features of one file, step by step."""
    description = net.description
    image = decode(path.read_bytes(), "")
    pixels = prepare_image(image, 32, description.preprocessing)
    mean, std = description.preprocessing.mean, description.preprocessing.std
    images = (pixels[None].astype(np.float32) - mean) / std
    logits, endpoints = net.model.apply(net.variables, images.astype(np.float32))
    return np.asarray(logits[0]), np.asarray(endpoints["pre_logits"][0])


def test_predictions_are_the_softmax_of_the_logits(net, photos):
    paths = prediction.images_in(str(photos))
    assert len(paths) == 20  # more than one batch, and not a whole number of them
    read = list(prediction.read_photos(paths, net, pytest.fail))
    predictions = list(prediction.predict(net, read, top=2))
    assert [p.photo.path for p in predictions] == paths
    names = np.array(["tench", "cat", "dog"])  # the WordNet id in words
    for path, found in zip(paths, predictions, strict=True):
        logits, _ = expected_outputs(net, path)
        probabilities = np.exp(logits) / np.exp(logits).sum()
        order = np.argsort(-probabilities)[:2]
        assert [name for name, _ in found.classes] == names[order].tolist()
        np.testing.assert_allclose(
            [p for _, p in found.classes], probabilities[order], rtol=1e-3
        )


def test_attributes_are_all_from_the_threshold_on(net, photos):
    description = net.description.model_copy(update={"threshold": 0.4})
    net = dataclasses.replace(net, description=description)
    paths = prediction.images_in(str(photos))
    read = list(prediction.read_photos(paths, net, pytest.fail))
    names = np.array(["tench", "cat", "dog"])
    outputs = np.stack([expected_outputs(net, path)[0] for path in paths])
    probabilities = 1 / (1 + np.exp(-outputs))
    middle = float(np.median(probabilities))
    for threshold in (None, middle, 1.0):
        found = list(prediction.predict(net, read, threshold=threshold))
        limit = 0.4 if threshold is None else threshold
        assert {p.threshold for p in found} == {limit}
        for row, one in zip(probabilities, found, strict=True):
            order = np.argsort(-row)
            # What lies on the threshold may round to either side.
            clear = [i for i in order if row[i] > limit + 1e-3]
            assert [name for name, _ in one.classes][: len(clear)] == [
                *names[clear].tolist()
            ]
            assert len(one.classes) <= (row > limit - 1e-3).sum()
            np.testing.assert_allclose(
                [p for _, p in one.classes], row[order][: len(one.classes)], rtol=1e-3
            )
    assert all(one.classes == () for one in found)  # a sigmoid does not reach 1


def test_a_threshold_is_of_attributes_and_a_number_of_classes(net):
    with pytest.raises(UserError, match="--threshold is for weights that predict attr"):
        prediction.predict(net, [], threshold=0.5)
    description = net.description.model_copy(update={"threshold": 0.4})
    with pytest.raises(UserError, match="--top is for weights that predict one class"):
        prediction.predict(dataclasses.replace(net, description=description), [], top=1)


def test_a_backbone_has_features_and_no_predictions(photos):
    net = backbone_net()
    paths = prediction.images_in(str(photos))[:3]
    read = list(prediction.read_photos(paths, net, pytest.fail))
    with pytest.raises(UserError, match="are a backbone without classes"):
        prediction.predict(net, read)
    found = dict(prediction.features(net, read))
    preprocessing = net.description.preprocessing
    for photo in read:
        images = (photo.pixels[None] - preprocessing.mean) / preprocessing.std
        maps = net.model.apply(net.variables, images.astype(np.float32))["features"]
        expected = np.asarray(maps)[0].sum((0, 1)) / (maps.shape[1] * maps.shape[2])
        np.testing.assert_allclose(found[photo.path], expected, rtol=1e-3, atol=1e-5)


def test_few_photographs_keep_their_pixels(net, photos, monkeypatch):
    monkeypatch.setattr(prediction, "MOST_DRAWN", 2)
    paths = prediction.images_in(str(photos))[:4]
    read = list(prediction.read_photos(paths, net, pytest.fail))
    kept = prediction.keep_few_pixels(prediction.predict(net, read))
    assert [p.photo.path for p in kept] == paths
    assert [p.photo.pixels.size > 0 for p in kept] == [True, True, False, False]


def test_a_folder_is_predicted_and_written(run, net, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    description = net.description.model_copy(update={"threshold": 1e-9})
    with_attributes = dataclasses.replace(net, description=description)
    trained.save(net, str(tmp_path / "classes"))
    trained.save(with_attributes, str(tmp_path / "attributes"))
    for kind in ("class", "attribute"):
        weights = "classes" if kind == "class" else "attributes"
        files = ("--json", f"{kind}.json", "--csv", f"{kind}.csv")
        result = run(
            *("predict", "photos/b", "photos/b/13.jpg", "--weights", weights, *files)
        )
        assert result.exit_code == 0, result.stderr
        objects = json.loads((tmp_path / f"{kind}.json").read_text())
        # Eight photographs, each once, with all of the three names.
        assert [o["path"] for o in objects] == [
            f"photos/b/{path.name}"
            for path in sorted((photos / "b").iterdir())
            for _ in range(3)
        ]
        assert {o[kind] for o in objects} == {"tench", "cat", "dog"}
        with (tmp_path / f"{kind}.csv").open(newline="") as file:
            rows = [
                row | {"probability": float(row["probability"])}
                for row in csv.DictReader(file)
            ]
        assert rows == objects
        again = run("predict", "photos/b", "--weights", weights, *files)
        assert f"{kind}.json exists already: give another --json" in again.stderr


def test_features_are_the_vectors_before_the_logits(net, photos):
    paths = prediction.images_in(str(photos))
    read = list(prediction.read_photos(paths, net, pytest.fail))
    found = dict(prediction.features(net, iter(read)))
    assert list(found) == paths
    expected = np.stack([expected_outputs(net, path)[1] for path in paths])
    np.testing.assert_allclose([*found.values()], expected, rtol=1e-3, atol=1e-4)


def test_a_broken_file_is_named_and_the_others_go_on(
    run, net, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    trained.save(net, str(tmp_path / "weights"))
    (photos / "a/broken.jpg").write_bytes(b"no image")
    result = run(
        *("predict", "photos/a/00.png", "photos/a/broken.jpg", "photos/none.jpg"),
        *("photos/b/13.jpg", "--weights", "weights", "--top", 3),
    )
    assert result.exit_code == 1
    errors = result.stderr.splitlines()
    assert errors[0].startswith("error: Cannot decode the image photos/a/broken.jpg")
    assert errors[1].startswith("error: Cannot read the image photos/none.jpg")
    assert len(errors) == 2
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if ".png" in line or ".jpg" in line][
        :2
    ] == ["00.png", "13.jpg"]
    assert sum("%" in line for line in lines) == 6
    with Image.open(tmp_path / "predictions.png") as picture:
        assert picture.width > 600


def test_the_features_of_a_folder_are_written(run, net, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained.save(net, str(tmp_path / "weights"))
    result = run(
        *("features", "photos", "--weights", "weights", "--output", "features.npz")
    )
    assert result.exit_code == 0, result.stderr
    assert "Wrote 20 vectors of 40 to features.npz" in result.stdout
    with np.load(tmp_path / "features.npz") as file:
        assert file["features"].shape == (20, 40)
        assert file["paths"][0] == "a/00.png"
        _, expected = expected_outputs(net, photos / "b/19.jpg")
        np.testing.assert_allclose(file["features"][19], expected, rtol=1e-3, atol=1e-4)


def test_no_file_of_the_user_is_overwritten(run, net, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained.save(net, str(tmp_path / "weights"))
    photo = photos / "a/00.png"
    for file in (photo, tmp_path / "mine.png", tmp_path / "mine.npz"):
        if file != photo:
            file.write_bytes(b"mine")
        before = file.read_bytes()
        option = "--picture" if file.suffix == ".png" else "--output"
        command = (
            ("predict", photo) if option == "--picture" else ("features", "photos")
        )
        result = run(*command, "--weights", "weights", option, file)
        assert result.exit_code == 1
        assert f": give another {option}" in result.stderr
        assert file.read_bytes() == before


def test_a_photograph_of_the_pictures_own_name_is_kept(
    run, net, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    trained.save(net, str(tmp_path / "weights"))
    photo = tmp_path / "predictions.png"
    photo.write_bytes((photos / "a/00.png").read_bytes())
    before = photo.read_bytes()
    result = run("predict", photo, "--weights", "weights")
    assert result.exit_code == 1
    assert "is one of the photographs: give another --picture" in result.stderr
    assert photo.read_bytes() == before


def test_photographs_of_one_name_are_told_apart_by_their_paths(
    run, net, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    trained.save(net, str(tmp_path / "weights"))
    (photos / "b/00.png").write_bytes((photos / "a/00.png").read_bytes())
    result = run(
        *("predict", "photos/a/00.png", "photos/b/00.png", "--weights", "weights")
    )
    assert "photos/a/00.png" in result.stdout
    assert "photos/b/00.png" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("predict", "x.jpg", "--weights", "weights", "--picture", "p.xyz"),
            "The picture must be a .png file, but is 'p.xyz'",
        ),
        (("predict", "x.jpg", "--weights", "nowhere"), "There is no folder nowhere"),
        (("predict", "--weights", "weights"), "Missing argument 'photos'"),
        (("predict", "x.jpg", "--weights", "weights", "--top", "0"), "--top"),
        (("predict", "x", "--weights", "weights", "--threshold", "2"), "--threshold"),
        (
            ("predict", "x", "--weights", "weights", "--threshold", "0.5"),
            "but these predict one class per image: leave it out",
        ),
        (("predict", "empty", "--weights", "weights"), "empty holds no images"),
        (
            (
                "predict",
                "photos",
                "--weights",
                "weights",
                "--json",
                "weights/network.json/x",
            ),
            "Cannot write --json weights/network.json/x: it would be in a file",
        ),
        (
            (
                "predict",
                "photos",
                "--weights",
                "weights",
                "--csv",
                "weights/network.json/x",
            ),
            "Cannot write --csv weights/network.json/x: it would be in a file",
        ),
        (
            ("features", "empty", "--weights", "weights", "--output", "f.npz"),
            "empty holds no images: it must have .jpg",
        ),
        (
            ("features", "photos", "--weights", "weights", "--output", "f.csv"),
            "The output must be an .npz file, but is 'f.csv'",
        ),
        (
            (
                "features",
                "photos",
                "--weights",
                "weights",
                "--output",
                "weights/network.json/f.npz",
            ),
            "Cannot write --output weights/network.json/f.npz: it would be in a file",
        ),
        (
            ("features", "gone", "--weights", "weights", "--output", "f.npz"),
            "gone is not a folder",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_a_failure(
    run, net, photos, tmp_path, arguments, message, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    trained.save(net, str(tmp_path / "weights"))
    (tmp_path / "empty").mkdir()
    result = run(*arguments)
    of_the_command_line = message.startswith(("--", "Missing argument"))
    assert result.exit_code == (2 if of_the_command_line else 1)
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_picture_that_cannot_be_written_is_told(net, photos):
    paths = prediction.images_in(str(photos))[:1]
    read = list(prediction.read_photos(paths, net, pytest.fail))
    predictions = list(prediction.predict(net, read))
    with pytest.raises(UserError, match="cannot be written"):
        prediction.draw_predictions(predictions, pathlib.Path("/nowhere/p.png"))
