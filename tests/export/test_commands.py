"""What a user types: export, and the commands that take an exported file."""

import hashlib
import json
import sys

import numpy as np
import pytest
from PIL import Image

from mobilenets.config import files
from mobilenets.config.schema import Preprocessing
from mobilenets.errors import UserError
from mobilenets.export import exporting
from mobilenets.export.exported import load
from mobilenets.export.formats import Options
from mobilenets.inference import pixels, trained
from mobilenets.inference.trained import TrainedNet
from mobilenets.tasks.registry import make_task
from tests.export import small

CLOTHES = "--config.dataset.name=fashion_mnist_subset"

RESIZES = ("pad", "keep", "short_side")


def segmenter(resize):
    """Weights that label pixels, of photographs that are shown in this way."""
    net = small.net("LR-ASPP")
    preprocessing = Preprocessing(resize=resize, crop_fraction=1.0)
    changes = {"task": "segmentation", "preprocessing": preprocessing}
    return TrainedNet(net.description.model_copy(update=changes), net.variables)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Photographs, and weights that classify, tell attributes, detect or do not."""
    place = tmp_path_factory.mktemp("exported")
    (place / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(5):
        pixels = rng.uniform(0, 255, (4, 6, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((90, 60)).save(place / f"photos/{i}.jpg")
    spec = small.SPECS["inverted residual"]
    names = make_task(files.configuration("quickstart:smoke")).class_names
    nets = {
        "classes": small.net_of(spec, names=names),
        "attributes": small.net_of(spec, task="multilabel", threshold=0.5),
        "boxes": small.net_of(small.SPECS["SSDLite"], task="detection"),
        "backbone": small.net("backbone"),
    } | {f"pixels of {resize}": segmenter(resize) for resize in RESIZES}
    for name, net in nets.items():
        trained.save(net, str(place / name))
    return place


@pytest.fixture(scope="module")
def exported(place):
    """The path of the weights as an ONNX file, written once."""

    def exported(name):
        path = place / f"{name}.onnx"
        if not path.exists():
            net = trained.load(str(place / name))
            exporting.write(path, *exporting.export(net, "onnx", Options()))
        return path

    return exported


@pytest.mark.parametrize("format", ["stablehlo", "onnx", small.LITERT])
def test_export_writes_a_file_that_predict_takes(run, place, tmp_path, format):
    path = tmp_path / "net"
    words = ("--format", format, "--output", path, "--photographs", place / "photos")
    result = run("export", "--weights", place / "classes", *words)
    assert result.exit_code == 0, result.stderr
    assert "100.0% on 5 photographs" in result.stdout
    written = json.loads((tmp_path / "net.json").read_text())
    assert written["format"] == format and written["parity"]["images"] == 5
    wanted, found = (
        predicted(run, place, weights, tmp_path)
        for weights in (place / "classes", path)
    )
    assert [row["class"] for row in found] == [row["class"] for row in wanted]
    assert [row["path"] for row in found] == [row["path"] for row in wanted]
    np.testing.assert_allclose(
        [row["probability"] for row in found],
        [row["probability"] for row in wanted],
        atol=1e-5,
    )


def predicted(run, place, weights, folder, *words):
    output = folder / f"{weights.name}.predicted"
    result = run(
        *("predict", place / "photos", "--weights", weights, "--json", output),
        *("--picture", folder / f"{weights.name}.png", *words),
    )
    assert result.exit_code == 0, result.stderr
    return json.loads(output.read_text())


@pytest.mark.parametrize(
    ("name", "words", "key", "number"),
    [
        ("attributes", ("--threshold", 0.4), "attribute", "probability"),
        ("boxes", ("--score", 0.05), "class", "score"),
    ],
)
def test_predict_gives_the_same_of_a_file(
    run, place, exported, tmp_path, name, words, key, number
):
    wanted, found = (
        predicted(run, place, weights, tmp_path, *words)
        for weights in (place / name, exported(name))
    )
    assert [row[key] for row in found] == [row[key] for row in wanted]
    assert len(found) > 5
    for a, b in zip(found, wanted, strict=True):
        assert a.get("box", []) == pytest.approx(b.get("box", []), abs=1e-2)
        assert a[number] == pytest.approx(b[number], abs=1e-4)


def masks_of(run, place, weights, folder, *words):
    masks = folder / f"masks of {weights.name}"
    predicted(run, place, weights, folder, "--masks", masks, *words)
    return [np.asarray(Image.open(path)) for path in sorted(masks.iterdir())]


def assert_same_masks(found, wanted):
    """But for pixels of which two classes are equally likely, up to rounding."""
    assert len(found) == len(wanted) > 0
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape and len(np.unique(b)) > 1
        assert (a == b).mean() > 0.999


def test_predict_labels_the_same_pixels_by_a_file(run, place, exported, tmp_path):
    path = exported("pixels of pad")
    wanted, found = (
        masks_of(run, place, weights, tmp_path)
        for weights in (place / "pixels of pad", path)
    )
    assert found[0].shape == (60, 90)
    assert_same_masks(found, wanted)
    told = refused(run, "predict", place / "photos", "--weights", path, "--tile", 128)
    assert "--tile is for weights that see photographs as large as they are" in told


def refuse_none(error):
    raise error


def noise(folder, height, width):
    cells = np.random.default_rng(height).integers(0, 256, (height // 8, width // 8, 3))
    image = np.kron(cells, np.ones((8, 8, 1))).astype(np.uint8)
    Image.fromarray(image).save(folder / f"{height}.png")
    return folder / f"{height}.png"


def test_a_file_sees_large_photographs_in_parts_of_its_size(
    run, place, exported, tmp_path
):
    path = exported("pixels of keep")
    net, in_file = trained.load(str(place / "pixels of keep")), load(str(path))
    # Of 64 pixels, and every 32: 3 x 2 whole parts.
    photo = noise(tmp_path, 128, 96)
    for tile in (None, 64):
        (wanted,) = pixels.segment(net, [photo], refuse_none, 64)
        (found,) = pixels.segment(in_file, [photo], refuse_none, tile)
        assert_same_masks([found.classes], [wanted.classes])
    told = refused(run, "predict", photo, "--weights", path, "--tile", 128)
    assert "the exported file sees parts of 64 x 64 pixels: leave it out" in told


def test_a_file_sees_the_mean_colour_beyond_a_small_photograph(
    place, exported, tmp_path
):
    photo = noise(tmp_path, 40, 56)
    filled = Image.new("RGB", (64, 64), (128, 128, 128))
    filled.paste(Image.open(photo))
    filled.save(tmp_path / "filled.png")
    net = trained.load(str(place / "pixels of keep"))
    (wanted,) = pixels.segment(net, [tmp_path / "filled.png"], refuse_none)
    in_file = load(str(exported("pixels of keep")))
    (found,) = pixels.segment(in_file, [photo], refuse_none)
    assert_same_masks([found.classes], [wanted.classes[:40, :56]])


def test_a_file_refuses_photographs_of_another_shape(run, place, exported):
    path = exported("pixels of short_side")
    told = refused(run, "predict", place / "photos", "--weights", path)
    assert "The exported file takes images of 64 x 64 pixels, but its weights" in told
    with pytest.raises(UserError, match=r"takes images of 64 x 64 .* have 64 x 96"):
        load(str(path)).run(np.zeros((1, 64, 96, 3), np.float32))


@pytest.mark.parametrize("name", ["classes", "backbone", "boxes", "pixels of keep"])
def test_features_gives_the_same_of_a_file(run, place, exported, tmp_path, name):
    vectors = []
    for weights in (place / name, exported(name)):
        output = tmp_path / f"{weights.name}.npz"
        words = ("--weights", weights, "--output", output)
        result = run("features", place / "photos", *words)
        assert result.exit_code == 0, result.stderr
        vectors.append(np.load(output)["features"])
    assert np.ptp(vectors[0]) > 0.1
    np.testing.assert_allclose(*vectors, atol=1e-5)


def test_eval_counts_the_same_of_a_file(run, place, exported, tmp_path):
    results = []
    for weights in (place / "classes", exported("classes")):
        output = tmp_path / f"{weights.name}.json"
        result = run(
            *("eval", "--workdir", weights, CLOTHES, "--json", output),
            *("--split", "validation[:30]", "--config.batch_size=16"),
        )
        assert result.exit_code == 0, result.stderr
        results.append(json.loads(output.read_text())["results"]["val"])
    assert [*results[0]] == ["classes"] and [*results[1]] == ["classes.onnx"]
    wanted, found = results[0]["classes"], results[1]["classes.onnx"]
    assert found["count"] == 30
    assert found == pytest.approx(wanted, rel=1e-4)


def test_eval_counts_the_same_pixels_of_a_file(run, place, exported, tmp_path):
    names = small.net("LR-ASPP").description.class_names
    for kind in ("images", "masks"):
        (tmp_path / kind / "val").mkdir(parents=True)
    for height in (48, 64, 80):
        photo = noise(tmp_path / "images/val", height, 56)
        mask = np.asarray(Image.open(photo))[..., 0] % len(names)
        Image.fromarray(mask).save(tmp_path / "masks/val" / photo.name)
    (tmp_path / "classes.txt").write_text("\n".join(names))
    data = [f"--config.dataset.folder={tmp_path}", "--split", "val"]
    results = []
    for weights in (place / "pixels of pad", exported("pixels of pad")):
        output = tmp_path / f"{weights.name}.json"
        words = (*data, "--config.batch_size=4", "--json", output)
        result = run("eval", "--workdir", weights, *words)
        assert result.exit_code == 0, result.stderr
        (found,) = json.loads(output.read_text())["results"]["val"].values()
        results.append(found)
    assert results[0]["mIoU"] > 0
    assert results[1] == pytest.approx(results[0], rel=1e-3)
    path = exported("pixels of pad")
    for key in ("eval_flip=true", "eval_scales=(0.5, 1.0)"):
        told = refused(run, "eval", "--workdir", path, *data, f"--config.task.{key}")
        assert "an exported file sees each image once" in told


def test_benchmark_measures_files_and_runtimes(run_json, place, exported):
    path = exported("classes")
    (row,) = run_json("benchmark", path)
    assert (row["runtime"], row["resolution"]) == ("onnxruntime", 33)
    rows = run_json("benchmark", place / "classes", "--runtime", "jax,onnxruntime")
    assert [row["runtime"] for row in rows] == ["jax", "onnxruntime"]
    assert all(row["median_seconds"] > 0 for row in rows)


def refused(run, *words):
    result = run(*words)
    assert result.exit_code == 1
    told = [line for line in result.stderr.splitlines() if not line.startswith("…")]
    assert len(told) == 1 and told[0].startswith("error: ")
    return told[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--int8"], "--int8 needs --calibration FOLDER: photographs"),
        (["--calibration", "photos"], "--calibration is for --int8"),
        (["--int8", "--calibration", "nothing"], "nothing is not a folder"),
        (["--int8", "--calibration", "empty"], "empty holds no images"),
        (["--int8", "--calibration", "photos/0.jpg"], "0.jpg is not a folder"),
        (["--int8", "--calibration", "broken"], "x.jpg"),
        (["--photographs", "empty"], "empty holds no images"),
        (["--opset", 3], "The opset is 3, but must be from 14"),
        (["--output", "there"], "there exists already: give another --output"),
        (["--output", "old"], "old.json exists already"),
        (["--output", "net.json"], "is the name of a record"),
        (["--output", "there/net"], "it would be in a file"),
        (["--weights", "nothing/there"], "There is no folder nothing/there"),
        (["--format", "stablehlo", "--layout", "nchw"], "leave out --layout"),
        (["--format", "stablehlo", "--opset", 17], "which are ONNX's"),
        (
            ["--format", "stablehlo", "--int8", "--calibration", "photos"],
            "StableHLO files cannot have int8: give --format litert or onnx",
        ),
    ],
)
def test_export_refuses_at_the_start(
    run, place, tmp_path, monkeypatch, words, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/x.jpg").write_bytes(b"no image")
    (tmp_path / "photos").symlink_to(place / "photos")
    (tmp_path / "there").write_text("mine")
    (tmp_path / "old.json").write_text("mine")
    before = sorted(tmp_path.iterdir())
    given = {"--weights": place / "classes", "--format": "onnx", "--output": "net"}
    options = [w for w in words if isinstance(w, str) and w in given]
    base = [w for key in given if key not in options for w in (key, given[key])]
    assert sentence in refused(run, "export", *base, *words)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there").read_text() == "mine"


def test_an_unknown_format_is_refused(run, place, tmp_path):
    words = ("--format", "tflite", "--output", tmp_path / "net")
    result = run("export", "--weights", place / "classes", *words)
    assert result.exit_code == 2 and "'stablehlo', 'litert', 'onnx'" in result.stderr


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_a_missing_runtime_is_named_with_what_installs_it(
    run, place, exported, tmp_path, monkeypatch, module
):
    path = exported("classes")
    monkeypatch.setitem(sys.modules, module, None)
    for name in [*sys.modules]:
        if name.startswith("mobilenets.export.onnx"):
            monkeypatch.delitem(sys.modules, name)
    words = ("--format", "onnx", "--output", tmp_path / "net")
    for result in (
        refused(run, "export", "--weights", place / "classes", *words),
        refused(run, "predict", place / "photos", "--weights", path),
        refused(run, "benchmark", "mobilenet_v2", "--runtime", "onnxruntime"),
    ):
        assert "ONNX files need a package that is not installed" in result
        assert "pip install 'mobilenets[onnx]'" in result
    assert not any(tmp_path.iterdir())


def test_a_file_that_is_no_export_of_ours_is_refused(run, place, exported, tmp_path):
    photos = place / "photos"
    path = tmp_path / "net.onnx"
    path.write_bytes(b"something")
    told = refused(run, "predict", photos, "--weights", path)
    assert "has no net.onnx.json beside it: give a file that `mobilenets exp" in told
    text = exported("classes").with_name("classes.onnx.json").read_text()
    path.with_name("net.onnx.json").write_text("{")
    told = refused(run, "predict", photos, "--weights", path)
    assert "net.onnx.json is not JSON" in told
    path.with_name("net.onnx.json").write_text(text)
    told = refused(run, "predict", photos, "--weights", path)
    assert "net.onnx.json belongs to another file than net.onnx" in told
    for damaged, why in (
        ("[]", ": export the file again."),
        ("{}", ": export the file again."),
        (text.replace('"onnx"', '"exe"'), " (format: Input should be 'stablehlo', 'li"),
        (text.replace('"sha256"', '"sha"'), " (sha256: Field required): export the f"),
    ):
        path.with_name("net.onnx.json").write_text(damaged)
        told = refused(run, "predict", photos, "--weights", path)
        assert f"net.onnx.json is damaged{why}" in told
    values = json.loads(text) | {"detections": True}
    values["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("net.onnx.json").write_text(json.dumps(values))
    told = refused(run, "predict", photos, "--weights", path)
    assert "is not a detector and finds no objects" in told


@pytest.mark.parametrize("format", ["stablehlo", "onnx", "litert"])
def test_a_strangers_file_that_no_runtime_takes_is_refused(
    run, place, exported, tmp_path, format
):
    path = tmp_path / "net"
    path.write_bytes(b"something else")
    values = json.loads(exported("classes").with_name("classes.onnx.json").read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    values |= {"sha256": digest, "format": format}
    (tmp_path / "net.json").write_text(json.dumps(values))
    told = refused(run, "predict", place / "photos", "--weights", path)
    assert f"{path} is no " in told and " file that runs here" in told


def test_a_file_of_the_wrong_kind_is_refused(run, place, exported, tmp_path):
    photos = place / "photos"
    told = refused(run, "predict", photos, "--weights", exported("backbone"))
    assert "a backbone without classes" in told
    told = refused(run, "benchmark", exported("classes"), "--resolution", 64)
    assert "leave out --width, --depth and --resolution" in told
    told = refused(run, "benchmark", "mobilenet_v2", "--runtime", "onnx")
    assert "Unknown runtime 'onnx': did you mean 'onnxruntime'?" in told


def test_export_compares_the_metrics_of_weights_and_file(run, place, tmp_path):
    path = tmp_path / "net.onnx"
    words = ("--weights", place / "classes", "--format", "onnx", "--output", path)
    data = (CLOTHES, "--split", "validation[:30]", "--config.batch_size=16")
    told = refused(run, "export", *words, *data)
    assert "say on what is evaluated: give --evaluate, too" in told
    told = refused(run, "export", *words, "--evaluate", "--detections")
    assert "leave out --detections" in told
    int8 = ("--int8", "--calibration", place / "photos")
    result = run("export", *words, *data, *int8, "--evaluate")
    assert result.exit_code == 0, result.stderr
    assert "JAX, float32" in result.stdout and "ONNX, int8" in result.stdout
    written = json.loads(path.with_name("net.onnx.json").read_text())["evaluation"]
    assert written["split"] == "validation[:30]"
    results = written["results"]["val"]
    for weights, name in ((place / "classes", "JAX, float32"), (path, "ONNX, int8")):
        output = tmp_path / f"{name}.json"
        result = run("eval", "--workdir", weights, *data, "--json", output)
        assert result.exit_code == 0, result.stderr
        (found,) = json.loads(output.read_text())["results"]["val"].values()
        assert found["count"] == 30
        assert results[name] == pytest.approx(found, rel=1e-4)
    assert results["JAX, float32"]["loss"] != results["ONNX, int8"]["loss"]


def test_predict_finds_the_same_objects_by_a_file_of_detections(run, place, tmp_path):
    path, weights = tmp_path / "boxes.onnx", place / "boxes"
    words = ("--format", "onnx", "--output", path, "--detections")
    result = run("export", "--weights", weights, *words)
    assert result.exit_code == 0, result.stderr
    words = ("--score", 0.5, "--max-detections", 3)
    wanted, found = (
        predicted(run, place, net, tmp_path, *words) for net in (weights, path)
    )
    assert [row["class"] for row in found] == [row["class"] for row in wanted]
    assert len(found) > 3
    for a, b in zip(found, wanted, strict=True):
        assert a["box"] == pytest.approx(b["box"], abs=1e-2)
        assert a["score"] == pytest.approx(b["score"], abs=1e-4)
    for words, sentence in (
        (("--iou", 0.2), "--iou is 0.2, but the exported file drops duplicates by"),
        (("--score", 0), "only gives objects above"),
        (("--max-detections", 1000), "gives at most 100: give no more"),
    ):
        told = refused(run, "predict", place / "photos", "--weights", path, *words)
        assert sentence in told
    told = refused(run, "eval", "--workdir", path, "--config.dataset.folder=photos")
    assert "gives detections, but an evaluation needs the numbers of each anch" in told
