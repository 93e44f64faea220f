"""YOLO's text files are read as they mean, and what is wrong is dropped or said."""

import numpy as np
import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.config.schema import FolderDataset
from mobilenets.data.sources.opening import open_source

LINE = "1 0.5 0.5 0.25 0.2"  # of 40 x 30: columns 15 to 25, rows 12 to 18
YAML = "train: train/images\nval: val/images\nnames: [cat, dog]\n"


def opened(root, split="train", **values):
    return open_source(FolderDataset(folder=str(root), **values), split, "boxes")


@pytest.fixture
def yolo(tmp_path, painted):
    """Writes data.yaml and a folder of photographs with their lines."""

    def yolo(lines, yaml=YAML, images="train/images", labels="train/labels"):
        if yaml:
            (tmp_path / "data.yaml").write_text(yaml)
        for folder in (images, labels):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, of_image in lines.items():
            painted(40, 30).save(tmp_path / images / name)
            if of_image is not None:
                path = tmp_path / labels / name
                path.with_suffix(".txt").write_text("\n".join(of_image))
        return tmp_path

    return yolo


def test_centres_and_sizes_become_corners_in_pixels(yolo, line):
    source = opened(
        yolo({"a.png": [LINE, "0 0.5 0.5 1 1"], "b.png": None, "c.png": []})
    )
    assert (len(source), source.names) == (3, ("cat", "dog"))
    boxes = source[0].target
    np.testing.assert_allclose(
        boxes.corners, [[12, 15, 18, 25], [0, 0, 30, 40]], rtol=1e-6
    )
    np.testing.assert_allclose(boxes.area, [60, 1200], rtol=1e-6)
    assert boxes.classes.tolist() == [1, 0]
    assert source.box_counts.tolist() == [2, 0, 0]
    assert (
        "in YOLO: 3 photographs, 2 boxes of 2 classes, 2 photographs without" in line()
    )


def test_a_polygon_becomes_the_box_around_it(yolo):
    boxes = opened(yolo({"a.png": ["0 0.5 0.1 0.75 0.5 0.25 0.2"]}))[0].target
    np.testing.assert_allclose(boxes.corners, [[3, 10, 15, 30]], rtol=1e-6)


def test_boxes_are_of_the_upright_photograph(yolo, painted):
    root = yolo({"a.jpg": [LINE]})
    exif = Image.Exif()
    exif[0x0112] = 6  # upright it is 30 x 40
    painted(40, 30).save(root / "train/images/a.jpg", exif=exif)
    corners = opened(root)[0].target.corners
    np.testing.assert_allclose(corners, [[16, 11.25, 24, 18.75]], rtol=1e-6)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("7 0.5 0.5 0.1 0.1", "boxes whose class the file does not list (1, "),
        ("cat 0.5 0.5 0.1 0.1", "boxes whose class the file does not list (1, "),
        ("0 0.5 0.5 0.1", "lines that are no boxes (1, the first: line 2 of a.txt)"),
        ("0 a b c d", "lines that are no boxes (1, "),
        ("0 0.5 0.5 0 0.1", "boxes without area (1, "),
        ("0 nan 0.5 0.1 0.1", "boxes with numbers that are not finite (1, "),
        ("0 0.1 nan 0.5 0.1 0.2 0.2", "boxes with numbers that are not finite (1, "),
        ("0 200 150 40 40", "boxes outside of their photograph (1, "),
    ],
)
def test_a_broken_line_is_dropped_and_counted(yolo, line, bad, said):
    assert len(opened(yolo({"a.png": [LINE, bad]}))[0].target) == 1
    assert f"dropped: {said}" in line()


def test_a_box_that_reaches_beyond_is_clipped(yolo, line):
    boxes = opened(yolo({"a.png": ["0 0.9 0.5 0.4 1"]}))[0].target
    np.testing.assert_allclose(boxes.corners, [[0, 28, 30, 40]], rtol=1e-6)
    assert "clipped: boxes that reach beyond their photograph (1, " in line()


def test_boxes_without_a_photograph_are_dropped(yolo, line):
    root = yolo({"a.png": [LINE], "b.png": [LINE]})
    (root / "train/images/b.png").unlink()
    assert len(opened(root)) == 1
    assert "files of boxes without a photograph (1, the first: b.txt)" in line()


def test_two_photographs_with_one_file_of_boxes_are_refused(yolo):
    with pytest.raises(UserError, match=r"a.jpg and a.png have the same file"):
        opened(yolo({"a.png": [LINE], "a.jpg": [LINE]}))


@pytest.mark.parametrize(
    ("yaml", "images", "labels"),
    [
        ("train: ../train/images", "train/images", "train/labels"),  # Roboflow
        ("path: ../x/photos\ntrain: images/train", "images/train", "labels/train"),
        ("path: /home/me/data\ntrain: [images/train]", "images/train", "labels/train"),
        ("train: photos", "photos", "photos"),
    ],
)
def test_the_places_of_data_yaml_are_found(yolo, yaml, images, labels):
    yaml += "\nnames: {0: cat, 1: dog}"
    assert len(opened(yolo({"a.png": [LINE]}, yaml, images, labels))) == 1


def test_a_text_file_can_list_the_photographs(yolo, line):
    root = yolo(
        {"a.png": [LINE], "b.png": [LINE]}, "train: some.txt\nnames: [cat, dog]"
    )
    (root / "some.txt").write_text("./train/images/b.png\n./train/images/c.png\n")
    source = opened(root)
    assert [source[i].origin for i in range(len(source))] == [
        str(root / "train/images/b.png")
    ]
    assert "photographs that are missing (1, the first: ./train/images/c.png)" in line()


def test_label_studios_export_has_no_splits(yolo):
    root = yolo({"a.png": [LINE]}, None, "images", "labels")
    (root / "classes.txt").write_text("cat\ndog\n")
    assert opened(root, "all").names == ("dog",)
    with pytest.raises(UserError, match=r"no split train, only all\. .*eval_fraction"):
        opened(root)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("train: [", r"data.yaml, line 1, column \d+: this is not valid YAML: "),
        ("cat", "not a list of keys"),
        ("train: train/images", "no names of classes"),
        ("names: [cat, dog]", "has no splits"),
        ("train: train/images\nnames: [cat, cat]", "two classes of the same name"),
        ("train: elsewhere\nnames: [cat]", "should be in elsewhere, but there is no"),
        (YAML, "Unknown split .*: did you mean 'train'"),
    ],
)
def test_a_data_yaml_that_cannot_be_understood_is_refused(yolo, yaml, message):
    root = yolo({"a.png": [LINE]}, yaml)
    with pytest.raises(UserError, match=message):
        opened(root, "trian" if yaml == YAML else "train")
