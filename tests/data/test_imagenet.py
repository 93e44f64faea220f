"""ImageNet, as TFDS prepares it from the two tars, is trained and evaluated on."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from configs import mobilenet_v2
from mobilenets import UserError
from mobilenets.config import check
from mobilenets.data.decoding import decode
from mobilenets.data.prepare import prepare
from mobilenets.data.sources.opening import open_source
from mobilenets.evaluation.run import evaluate_run
from mobilenets.tasks.registry import make_task
from mobilenets.training.loop import train

# Synsets and their numbers among the 1000 classes. Two of the files are known to be
# wrong in the real set, one is CMYK and one a PNG; TFDS mends them.
TRAIN = {
    "n01440764": (0, ["n01440764_18.JPEG", "n01440764_36.JPEG"]),
    "n01739381": (59, ["n01739381_1309.JPEG", "n01739381_2.JPEG"]),
    "n02105855": (230, ["n02105855_2933.JPEG", "n02105855_1.JPEG"]),
    "n15075141": (999, ["n15075141_54.JPEG", "n15075141_55.JPEG"]),
}
# Of the first five validation images, as published.
VALIDATION_LABELS = [65, 970, 230, 809, 516]


def picture(number, name=""):
    """An encoded image of one colour, which tells the number."""
    color = (40 * (number % 6), 100, 255 - 40 * (number // 6))
    image = Image.new("RGB", (60 + number, 50), color)
    if name == "n01739381_1309.JPEG":
        image = image.convert("CMYK")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG" if name == "n02105855_2933.JPEG" else "JPEG")
    return buffer.getvalue()


def write_tar(target, members):
    """Writes a tar of {name: content} to a path or a buffer."""
    opened = {"fileobj": target} if hasattr(target, "write") else {"name": target}
    with tarfile.open(mode="w", **opened) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_imagenet(folder):
    """The two files of image-net.org, small."""
    synsets, number = {}, 0
    for synset, (_, names) in TRAIN.items():
        buffer = io.BytesIO()
        write_tar(buffer, {n: picture(number + i, n) for i, n in enumerate(names)})
        synsets[f"{synset}.tar"] = buffer.getvalue()
        number += len(names)
    write_tar(folder / "ILSVRC2012_img_train.tar", synsets)
    validation = {
        f"ILSVRC2012_val_{i + 1:08}.JPEG": picture(i)
        for i in range(len(VALIDATION_LABELS))
    }
    write_tar(folder / "ILSVRC2012_img_val.tar", validation)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Where imagenet2012 is prepared."""
    path = tmp_path_factory.mktemp("tfds")
    tars = tmp_path_factory.mktemp("tars")
    write_imagenet(tars)
    prepare("imagenet2012", str(path), str(tars))
    return str(path)


def config(data_dir, **changes):
    values = mobilenet_v2.get_config("width=0.35,resolution=32")
    values.model.depth_multiplier = 0.2  # it compiles sooner
    values.update(batch_size=4, epochs=1.0, log_every_steps=1, **changes)
    values.dataset.update(data_dir=data_dir, num_workers=0)
    return check.check(values)


def colors_and_labels(source):
    examples = [source[i] for i in range(len(source))]
    return {
        decode(e.image, e.origin).size[0] - 60: (
            np.asarray(decode(e.image, e.origin))[25, 30],
            e.target,
        )
        for e in examples
    }


def test_every_training_image_has_its_class(data_dir):
    source = open_source(config(data_dir).dataset, "train")
    assert len(source.names) == 1000
    found = colors_and_labels(source)
    expected = [label for label, names in TRAIN.values() for _ in names]
    assert [found[i][1] for i in range(8)] == expected
    for number, (color, _) in found.items():
        original = Image.open(io.BytesIO(picture(number))).getpixel((30, 25))
        np.testing.assert_allclose(color, original, atol=4)


def test_every_validation_image_has_its_published_class(data_dir):
    found = colors_and_labels(open_source(config(data_dir).dataset, "validation"))
    assert [found[i][1] for i in range(5)] == VALIDATION_LABELS


@pytest.mark.slow
def test_the_recipe_of_mobilenet_v2_trains_and_evaluates(data_dir, tmp_path):
    """8 images in batches of 4 are 2 steps; of 5 validation images none is left out."""
    settings = config(data_dir)
    task = make_task(settings)
    train(task, str(tmp_path))
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    losses = {r["step"]: r["train/loss"] for r in records if "train/loss" in r}
    evaluations = [r for r in records if "val/raw/count" in r]
    assert list(losses) == [1, 2]
    assert [e["step"] for e in evaluations] == [2]
    assert evaluations[0]["val/raw/count"] == evaluations[0]["val/ema/count"] == 5
    # Two steps teach nothing about 1000 classes.
    assert evaluations[0]["val/raw/loss"] == pytest.approx(np.log(1000), rel=0.05)

    again = evaluate_run(task, str(tmp_path)).results["val"]["ema"]
    assert again["count"] == 5
    assert again["loss"] == pytest.approx(evaluations[0]["val/ema/loss"], rel=1e-5)


def test_a_data_set_is_prepared_once(data_dir, capsys):
    prepare("imagenet2012", data_dir, "")
    told = capsys.readouterr().out
    assert "prepared already" in told
    assert "train: 8 examples of the 1,281,167 published" in told
    assert "validation: 5 examples of the 50,000 published" in told


def test_the_validation_images_can_be_prepared_alone(tmp_path, capsys):
    (tmp_path / "tars").mkdir()
    write_imagenet(tmp_path / "tars")
    (tmp_path / "tars/ILSVRC2012_img_train.tar").unlink()
    left = tmp_path / "imagenet2012/incomplete.ABC123_5.1.0"
    left.mkdir(parents=True)
    prepare("imagenet2012", str(tmp_path), str(tmp_path / "tars"))
    told = capsys.readouterr().out
    assert f"Not in {tmp_path / 'tars'}, and so left out: ILSVRC2012_img_train" in told
    assert f"{left} was left by a preparation that was killed: remove it." in told
    source = open_source(config(str(tmp_path)).dataset, "validation")
    assert len(source) == len(VALIDATION_LABELS)


def test_an_archive_that_was_cut_short_is_told(tmp_path):
    (tmp_path / "tars").mkdir()
    write_imagenet(tmp_path / "tars")
    tar = tmp_path / "tars/ILSVRC2012_img_val.tar"
    tar.write_bytes(tar.read_bytes()[:900])
    with pytest.raises(UserError, match="since an archive is damaged or is another o"):
        prepare("imagenet2012", str(tmp_path), str(tmp_path / "tars"))
    assert not (tmp_path / "imagenet2012/5.1.0").exists()


def test_missing_tars_are_named(tmp_path):
    (tmp_path / "tars").mkdir()
    with pytest.raises(UserError, match=r"there is no .*ILSVRC2012_img_tr") as caught:
        prepare("imagenet2012", str(tmp_path), str(tmp_path / "tars"))
    for name in ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"):
        assert str(tmp_path / "tars" / name) in str(caught.value)
    assert "image-net.org" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_validation_tar_is_named(tmp_path):
    (tmp_path / "tars").mkdir()
    write_imagenet(tmp_path / "tars")
    (tmp_path / "tars/ILSVRC2012_img_val.tar").unlink()
    with pytest.raises(UserError, match=r"tars/ILSVRC2012_img_val\.tar"):
        prepare("imagenet2012", str(tmp_path), str(tmp_path / "tars"))


def test_a_manual_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--manual-dir .*nowhere is not a folder"):
        prepare("imagenet2012", str(tmp_path), str(tmp_path / "nowhere"))


def test_what_cannot_be_prepared_is_named(tmp_path):
    with pytest.raises(UserError, match=r"Did you mean imagenet2012"):
        prepare("imagnet2012", str(tmp_path), "")
    with pytest.raises(UserError, match="embedded: it needs no preparation"):
        prepare("fashion_mnist_subset", str(tmp_path), "")
