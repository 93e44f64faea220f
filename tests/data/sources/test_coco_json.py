"""COCO's JSON is read as it means, and what is wrong with it is dropped or said."""

import json

import numpy as np
import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.config.schema import FolderDataset, FolderEval
from mobilenets.data.decoding import decode
from mobilenets.data.sources.opening import open_source


def opened(root, split="train", **values):
    return open_source(FolderDataset(folder=str(root), **values), split, "boxes")


def edited(root, change, split="train"):
    """The file of a split after a change of its content."""
    path = root / split / "_annotations.coco.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return root


def test_boxes_become_corners_of_classes_in_the_order_of_the_category_ids(coco, line):
    root = coco({"a.jpg": [(5, 2, 3, 10, 4), (3, 0, 0, 40, 30)], "b.jpg": []})
    source = opened(root)
    assert (len(source), source.names) == (2, ("cat", "dog"))
    boxes = source[0].target
    assert boxes.corners.tolist() == [[3, 2, 7, 12], [0, 0, 30, 40]]
    assert boxes.classes.tolist() == [1, 0]
    assert boxes.area.tolist() == [40, 1200]
    assert boxes.crowd.tolist() == [False, False]
    assert (boxes.corners.dtype, boxes.classes.dtype) == (np.float32, np.int32)
    assert len(source[1].target) == 0
    assert source.box_counts.tolist() == [2, 0]
    assert line() == (
        f"{root}, split train, in COCO JSON: 2 photographs, 2 boxes of 2 classes, "
        "1 photograph without boxes."
    )


def test_the_ids_of_the_file_stay_for_the_evaluation(coco):
    source = opened(coco({"a.jpg": [(5, 2, 3, 10, 4)], "b.jpg": []}))
    assert source.image_ids == [7, 8]
    assert source.category_ids == {"dog": 5}


def test_a_crowd_and_the_area_of_an_object_are_kept(coco):
    def change(content):
        content["annotations"][0] |= {"iscrowd": 1, "area": 12.5}

    boxes = opened(edited(coco({"a.jpg": [(3, 2, 3, 10, 4)]}), change))[0].target
    assert (boxes.crowd.tolist(), boxes.area.tolist()) == ([True], [12.5])


@pytest.mark.parametrize(
    ("bbox", "said"),
    [
        ((3, 2, 3, 0, 4), "boxes without area (1, the first: annotation 2)"),
        ((3, 2, 3, 5, -4), "boxes without area (1, "),
        ((3, 50, 3, 5, 5), "boxes outside of their photograph (1, "),
        ((3, -9, 3, 5, 5), "boxes outside of their photograph (1, "),
        ((3, float("nan"), 3, 5, 5), "boxes with numbers that are not finite (1, "),
        ((3, 0, 0, float("inf"), 5), "boxes with numbers that are not finite (1, "),
        ((9, 2, 3, 5, 5), "boxes whose class the file does not list (1, "),
        ((3, 2, 3, 5), "annotations that are no boxes (1, the first: annotation 2)"),
        ((3, 2, 3, 10**400, 5), "annotations that are no boxes (1, "),
        ((3, 2, 3, "5", 5), "annotations that are no boxes (1, "),
    ],
)
def test_a_broken_box_is_dropped_and_counted(coco, line, bbox, said):
    source = opened(coco({"a.jpg": [(3, 0, 0, 9, 9), bbox]}))
    assert source[0].target.corners.tolist() == [[0, 0, 9, 9]]
    assert f"dropped: {said}" in line()


def test_a_box_that_reaches_beyond_is_clipped_and_counted(coco, line):
    source = opened(coco({"a.jpg": [(3, -5, 20, 15, 20), (3, 0, 0, 40.4, 9)]}))
    assert source[0].target.corners.tolist() == [[20, 0, 30, 10], [0, 0, 9, 40]]
    assert source[0].target.area.tolist() == [100, 360]
    assert (
        "clipped: boxes that reach beyond their photograph (1, " in line()
    )  # .4 is rounding


def test_photographs_that_are_missing_are_dropped_with_their_boxes(coco, line):
    root = coco({"a.jpg": [(3, 0, 0, 9, 9)], "b.jpg": [(5, 0, 0, 9, 9)]})
    (root / "train/b.jpg").unlink()
    source = opened(root)
    assert (len(source), source.names) == (1, ("cat",))
    said = line()
    assert "dropped: photographs that are missing (1, the first: b.jpg)" in said
    assert "classes without boxes, left out: dog" in said


def test_boxes_of_an_image_that_is_not_listed_are_dropped(coco, line):
    root = coco({"a.jpg": [(3, 0, 0, 9, 9)], "b.jpg": [(5, 0, 0, 9, 9)]})
    assert len(opened(edited(root, lambda c: c["images"].pop()))) == 1
    assert "boxes of an image that the file does not list (1, " in line()


def test_one_class_is_enough(coco):
    assert opened(coco({"a.jpg": [(3, 0, 0, 9, 9)]}, {3: "cat"})).names == ("cat",)


def test_a_class_that_is_but_a_heading_of_the_others_is_left_out(coco):
    """Roboflow's files begin with one."""
    categories = {0: "animals", 1: "cat"}
    assert opened(coco({"a.jpg": [(1, 0, 0, 9, 9)]}, categories)).names == ("cat",)


def test_splits_whose_ids_differ_agree_by_name(coco):
    coco({"a.jpg": [(3, 0, 0, 9, 9), (5, 0, 0, 9, 9)]})
    root = coco({"b.jpg": [(1, 0, 0, 9, 9)]}, {1: "dog", 2: "cat"}, split="valid")
    train, valid = opened(root), opened(root, "valid")
    assert train.names[train[0].target.classes[1]] == "dog"
    assert valid.names[valid[0].target.classes[0]] == "dog"


def two_images_of_one_id(content):
    content["images"][1]["id"] = content["images"][0]["id"]


def one_image_twice(content):
    content["images"].append({**content["images"][0], "id": 99})


def two_categories_of_one_id(content):
    content["categories"].append({"id": 3, "name": "horse"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (two_images_of_one_id, r"two images with the id 7, a.jpg and b.jpg"),
        (one_image_twice, r"lists .*a.jpg twice"),
        (two_categories_of_one_id, r"two categories with the id 3 or the name 'horse'"),
        (
            lambda c: c["images"].clear(),
            r"split train, has no photographs, after these",
        ),
        (lambda c: c["annotations"].clear(), r"split train, has no boxes: give"),
        (lambda c: c.pop("categories"), r"has no list of categories"),
        (lambda c: c["images"][0].pop("file_name"), r"image without id or file_name"),
        (lambda c: c["categories"][0].pop("name"), r"category without id or name"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused(coco, change, message):
    root = coco({"a.jpg": [(3, 0, 0, 9, 9)], "b.jpg": [(5, 0, 0, 9, 9)]})
    with pytest.raises(UserError, match=message):
        opened(edited(root, change))


def test_a_file_that_is_cut_short_is_refused(coco):
    path = coco({"a.jpg": [(3, 0, 0, 9, 9)]}) / "train/_annotations.coco.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UserError, match=r"not valid JSON, or is cut short \(line 1"):
        opened(path.parents[1])


def test_when_all_photographs_are_missing_the_first_is_named(coco):
    root = coco({"a.jpg": [(3, 0, 0, 9, 9)]})
    (root / "train/a.jpg").unlink()
    with pytest.raises(UserError, match=r"no photographs, after .*first: a.jpg"):
        opened(root)


def test_a_folder_without_boxes_is_refused(tmp_path):
    with pytest.raises(UserError, match="no boxes in a known format: expected are"):
        opened(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        opened(tmp_path / "none")


def moved_to(root, layout):
    """The folder in one of the layouts in which COCO's JSON comes."""
    file, images = layout
    source = root / "train"
    target = root / "other"
    (target / file).parent.mkdir(parents=True)
    (source / "_annotations.coco.json").rename(target / file)
    (target / images).parent.mkdir(parents=True, exist_ok=True)
    source.rename(target / images)
    return target


@pytest.mark.parametrize(
    ("layout", "split"),
    [
        (("annotations/instances_train2017.json", "train2017"), "train2017"),
        (("annotations/instances_train.json", "images/train"), "train"),
        (("annotations/instances_default.json", "images"), "default"),
        (("result.json", "images"), "all"),
    ],
)
def test_the_layouts_of_coco_cvat_and_label_studio_are_recognised(coco, layout, split):
    root = moved_to(coco({"a.jpg": [(3, 0, 0, 9, 9)]}), layout)
    assert opened(root, split)[0].origin == str(root / layout[1] / "a.jpg")


@pytest.mark.parametrize(
    "name",
    [
        "images/a.jpg",
        "..\\..\\label-studio\\media\\upload\\3\\a.jpg",
        "/data/local-files/?d=photos%2Fa.jpg",
        "http://localhost:8080/data/upload/3/a.jpg",
    ],
)
def test_the_internal_paths_of_label_studio_lead_to_the_photographs(coco, name):
    root = coco({"a.jpg": [(3, 0, 0, 9, 9)]})
    edited(root, lambda c: c["images"][0].update(file_name=name))
    assert len(opened(moved_to(root, ("result.json", "images")), "all")) == 1


def test_two_photographs_of_one_name_are_not_taken_for_each_other(coco):
    """Of files 1/a.jpg and 2/a.jpg, where only a.jpg is there."""
    root = coco({"a.jpg": [(3, 0, 0, 9, 9)], "b.jpg": []})

    def change(content):
        for number, image in enumerate(content["images"]):
            image["file_name"] = f"upload/{number}/a.jpg"

    with pytest.raises(UserError, match=r"a.jpg twice.* rename one"):
        opened(edited(root, change))


def test_another_split_is_suggested(coco):
    coco({"a.jpg": [(3, 0, 0, 9, 9)]})
    root = coco({"b.jpg": [(3, 0, 0, 9, 9)]}, split="valid")
    with pytest.raises(UserError, match=r"Give --config.dataset.eval_split=valid\."):
        opened(root, "validation")


def test_one_split_can_be_divided_by_the_names_of_its_photographs(coco):
    names = [f"{i}.jpg" for i in range(20)]
    root = coco({name: [(3, 0, 0, 9, 9)] for name in names})
    with pytest.raises(UserError, match=r"only train\. .*eval_fraction=0\.2"):
        opened(root, "validation")
    parts = [
        opened(root, split, eval_fraction=0.3) for split in ("train", "validation")
    ]
    origins = [[part[i].origin for i in range(len(part))] for part in parts]
    assert sorted(origins[0] + origins[1]) == sorted(
        str(root / "train" / n) for n in names
    )
    assert 2 <= len(parts[1]) <= 10
    coco({"b.jpg": [(3, 0, 0, 9, 9)]}, split="valid")
    with pytest.raises(UserError, match="has the splits train, valid: leave it out"):
        opened(root, eval_fraction=0.3)


def test_the_only_split_of_a_further_evaluation_set_is_suggested(coco):
    root = coco({"a.jpg": [(3, 0, 0, 9, 9)]})
    chosen = FolderEval(folder=str(root))
    with pytest.raises(UserError, match=r"Give --config.evals.night.split=train\."):
        open_source(chosen, chosen.split, "boxes", option="evals.night.split")


@pytest.mark.parametrize("mode", ["L", "CMYK", "I;16", "1", "P", "RGBA"])
def test_photographs_of_any_colours_are_read(coco, painted, painted_box, mode):
    root = coco({"a.png": [(3, 5, 10, 20, 8)]})
    image = painted(40, 30, (10, 5, 18, 25))
    path = root / "train/a.png"
    if mode == "I;16":
        grey = np.asarray(image)[..., 0].astype(np.uint16) * 257
        Image.fromarray(grey).save(path)
    elif mode == "CMYK":
        image.convert(mode).save(path, "JPEG", quality=95)
    else:
        image.convert(mode).save(path)
    record = opened(root)[0]
    pixels = decode(record.image, record.origin, upright=True)
    assert record.target.corners.tolist() == [painted_box(pixels)]


def test_an_image_of_one_pixel_has_its_box(coco, painted):
    root = coco({"a.png": [(3, 0, 0, 1, 1)]})
    painted(1, 1).save(root / "train/a.png")
    edited(root, lambda c: c["images"][0].update(width=1, height=1))
    assert opened(root)[0].target.corners.tolist() == [[0, 0, 1, 1]]


def test_without_a_size_in_the_file_boxes_are_clipped_to_the_photograph(coco):
    root = coco({"a.jpg": [(3, 30, 20, 50, 50)]})

    def change(content):
        del content["images"][0]["width"]

    assert opened(edited(root, change))[0].target.corners.tolist() == [[20, 30, 30, 40]]


def test_a_photograph_that_vanishes_later_is_named(coco):
    root = coco({"a.jpg": [(3, 0, 0, 9, 9)]})
    source = opened(root)
    (root / "train/a.jpg").unlink()
    with pytest.raises(UserError, match=r"Cannot read the image .*a.jpg: No such file"):
        source[0]
