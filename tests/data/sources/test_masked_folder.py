"""Photographs with masks, in the forms in which people have them."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mobilenets import UserError
from mobilenets.config.schema import FolderDataset, NamedDataset
from mobilenets.data.masks import UNLABELLED
from mobilenets.data.sources import scenes
from mobilenets.data.sources.masked_folder import MaskedFolderSource
from mobilenets.data.sources.opening import open_source
from mobilenets.data.sources.renamed import with_names

# Of 4 x 6: eight pixels of 0, eight of 1, four of 2, four without label.
MASK = np.array([[0, 0, 1, 1, 2, 255]] * 4, np.uint8)
MASK_IN_WORDS = "0 40.0%, 1 40.0%, 2 20.0%; 16.7% of all pixels (4) without label"


def grey(value=0, size=(6, 4)):
    return Image.new("RGB", size, (value,) * 3)


@pytest.fixture
def masked(tmp_path):
    """Writes images/SPLIT and masks/SPLIT; gives the root.

    It is called with the mask of each photograph, an array, an image or bytes; None for
    a photograph without one.
    """

    def masked(masks, split="train", **texts):
        images, folder = tmp_path / "images" / split, tmp_path / "masks" / split
        images.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        for name, mask in masks.items():
            grey().save(images / f"{name}.jpg")
            if isinstance(mask, np.ndarray):
                mask = Image.fromarray(mask)
            if mask is not None:
                mask.save(folder / f"{name}.png")
        for name, text in texts.items():
            (tmp_path / f"{name}.txt").write_text(text)
        return tmp_path

    return masked


def opened(root, split="train", **options):
    return MaskedFolderSource(str(root), split, **options)


def test_photographs_and_masks_of_one_name_belong_together(masked, line):
    root = masked({"b": MASK, "a": MASK[:, ::-1]}, classes="sky\nsea\nsand\n")
    source = opened(root)
    assert source.names == ("sky", "sea", "sand")
    assert source.sizes.tolist() == [[4, 6], [4, 6]]
    record = source[0]
    assert record.origin == str(root / "images/train/a.jpg")
    np.testing.assert_array_equal(record.target, MASK[:, ::-1])
    assert line() == (
        f"{root}, split train, in masks: 2 photographs, 3 classes; of the labelled "
        "pixels sky 40.0%, sea 40.0%, sand 20.0%; 16.7% of all pixels (8) without "
        "label."
    )


def test_without_names_the_classes_are_called_by_their_numbers(masked, line):
    assert opened(masked({"a": MASK})).names == ("0", "1", "2")
    assert MASK_IN_WORDS in line()
    sparse = np.where(MASK == 1, 4, MASK)
    source = opened(masked({"a": sparse}))
    assert source.names == ("0", "1", "2", "3", "4")
    assert source[0].target[0].tolist() == [0, 0, 4, 4, 2, 255]
    assert "; no pixel of 1, 3." in line()


def test_masks_in_colour_have_the_classes_of_cvats_label_map(masked):
    colors = np.array([(0, 0, 0), (250, 50, 83), (61, 61, 245)], np.uint8)
    text = (
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\n"
        "cat:250,50,83::\ndog:61,61,245::\n"
    )
    image = Image.fromarray(colors[np.where(MASK == 255, 0, MASK)])
    source = opened(masked({"a": image}, labelmap=text))
    assert source.names == ("background", "cat", "dog")
    np.testing.assert_array_equal(source[0].target, np.where(MASK == 255, 0, MASK))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat:1,2::\n", r"labelmap.txt has the line 'cat:1,2::', but lines are like"),
        ("cat:1,2,300::\n", "red, green and blue from 0 to 255"),
        ("cat:1,2,3::\ndog:1,2,3::\n", "has the colour 1,2,3 twice"),
        ("cat:1,2,3::\ncat:1,2,4::\n", "has the class 'cat' twice"),
        ("# nothing\n", "names no class"),
    ],
)
def test_a_wrong_label_map_is_named(masked, text, message):
    with pytest.raises(UserError, match=message):
        opened(masked({"a": MASK}, labelmap=text))


def test_the_masks_of_voc_have_its_classes(tmp_path, line):
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a", "b"):
        grey().save(tmp_path / f"JPEGImages/{name}.jpg")
        image = Image.fromarray(np.where(MASK == 1, 20, MASK))
        image.putpalette([0] * 768)
        image.save(tmp_path / f"SegmentationClass/{name}.png")
    sets = tmp_path / "ImageSets/Segmentation"
    (sets / "train.txt").write_text("b\nmissing\n")
    (sets / "val.txt").write_text("a\n")
    source = opened(tmp_path)
    assert [source[0].origin] == [str(tmp_path / "JPEGImages/b.jpg")]
    assert len(source.names) == 21 and source.names[20] == "tvmonitor"
    assert "photographs that are missing (1, the first: missing)" in line()
    with pytest.raises(UserError, match=r"Give --config.dataset.eval_split=val\."):
        open_source(FolderDataset(folder=str(tmp_path)), "validation", "mask")
    (tmp_path / "labelmap.txt").write_text("sky:0,0,0::\n")
    with pytest.raises(UserError, match=r"b.png has the colour 0,0,0|of the class"):
        opened(tmp_path, to_train=True)


# What is wrong with masks.


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (MASK[:3], r"mask of .*a.jpg has 6x3 pixels, but the photograph has 6x4"),
        (grey(), r"mask .*a.png is in colour, but nothing .* labelmap.txt"),
        (MASK.astype(np.uint16) * 300, r"a.png has 16 bits and values up to"),
        (np.full_like(MASK, 255), r"masks without a single labelled pixel"),
    ],
)
def test_a_wrong_mask_is_named(masked, mask, message):
    with pytest.raises(UserError, match=message):
        opened(masked({"a": mask}))


def test_a_value_that_is_no_class_is_named(masked):
    root = masked({"a": MASK * 0, "b": MASK}, classes="sky\nsea\n")
    with pytest.raises(
        UserError, match=r"b.png has the value 2, but classes.txt names 2 classes, from"
    ):
        opened(root)


def test_a_mask_of_two_colours_is_black_0_and_white_1(masked):
    values = np.where(MASK == 255, 0, MASK % 2).astype(np.uint8)
    source = opened(masked({"a": Image.fromarray(values * 255).convert("1")}))
    np.testing.assert_array_equal(source[0].target, values)


def test_a_mask_of_0_and_255_is_no_mask_of_two_classes(masked):
    mask = {"a": np.where(MASK == 0, 0, 255).astype(np.uint8)}
    assert opened(masked(mask)).names == ("0",)
    for names in ({}, {"classes": "sky\nsea\n"}):
        root = masked(mask, **names)
        with pytest.raises(UserError, match=r"of the class (0|sky): .*write 1 for it"):
            opened(root, to_train=True)


def test_boxes_without_outlines_are_no_masks_to_train_on(tmp_path):
    (tmp_path / "train").mkdir()
    grey().save(tmp_path / "train/a.jpg")
    image = dict(id=1, file_name="a.jpg", width=grey().width, height=grey().height)
    box = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 2, 2], area=4, iscrowd=0)
    categories = [dict(id=1, name="cat")]
    document = dict(images=[image], annotations=[box], categories=categories)
    file = tmp_path / "train/_annotations.coco.json"
    file.write_text(json.dumps(document))
    message = r"of the class background, after these were dropped: objects without an"
    with pytest.raises(UserError, match=message):
        opened(tmp_path, to_train=True)


def test_what_is_missing_or_damaged_is_dropped_and_told(masked, line):
    root = masked(dict(a=MASK, b=None, c=MASK, d=MASK, e=np.full_like(MASK, 255)))
    (root / "images/train/d.jpg").unlink()
    content = (root / "masks/train/c.png").read_bytes()
    (root / "masks/train/c.png").write_bytes(content[: len(content) // 2])
    source = opened(root)
    assert [source[i].origin[-5:] for i in range(len(source))] == ["a.jpg", "e.jpg"]
    told = line()
    for kind, first in (
        ("photographs without a mask", root / "images/train/b.jpg"),
        ("masks without a photograph", root / "masks/train/d.png"),
        ("masks that cannot be decoded", root / "masks/train/c.png"),
    ):
        assert f"{kind} (1, the first: {first})" in told
    assert "1 mask without any labelled pixel" in told


def test_a_mask_drawn_on_the_stored_photograph_is_turned_with_it(masked):
    root = masked({"a": MASK})
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it by 90 degrees, clockwise
    grey().save(root / "images/train/a.jpg", exif=exif)
    source = opened(root)
    np.testing.assert_array_equal(source[0].target, np.rot90(MASK, -1))
    assert source.sizes.tolist() == [[6, 4]]
    Image.fromarray(np.rot90(MASK, -1).copy()).save(root / "masks/train/a.png")
    np.testing.assert_array_equal(opened(root)[0].target, np.rot90(MASK, -1))


def test_a_mask_that_vanishes_later_is_named(masked):
    root = masked({"a": MASK})
    source = opened(root)
    (root / "masks/train/a.png").unlink()
    with pytest.raises(UserError, match=r"Cannot read the image .*a.png: No such file"):
        source[0]


# Splits.


def test_classes_are_matched_by_their_names_across_splits(masked, line):
    train = opened(masked({"a": MASK}, classes="sky\nsea\nsand\n"))
    root = masked({"b": MASK % 254 % 2}, "val", classes="sea\nsky\n")
    val = with_names(opened(root, "val"), train.names, "The evaluation set val")
    assert "The evaluation set val has no images of sand to evaluate." in line()
    assert val.names == ("sky", "sea", "sand")
    # 0 is sea here.
    np.testing.assert_array_equal(val[0].target, 1 - MASK % 254 % 2)
    with pytest.raises(UserError, match="has sand, which the network was not trained"):
        with_names(train, ("sky", "sea"), "It")


def test_one_split_can_be_divided_by_the_names_of_its_photographs(masked):
    root = masked({f"{i}": MASK for i in range(20)})
    with pytest.raises(UserError, match=r"only train\. .*eval_fraction=0\.2"):
        open_source(FolderDataset(folder=str(root)), "validation", "mask")
    parts = [opened(root, s, eval_fraction=0.3) for s in ("train", "validation")]
    assert sum(map(len, parts)) == 20 and 2 <= len(parts[1]) <= 10


def test_a_folder_without_masks_says_what_is_expected(tmp_path):
    with pytest.raises(UserError, match="has no masks in a known form: expected are"):
        opened(tmp_path)


# COCO's JSON.


def square(x, y, side):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


@pytest.fixture
def outlined(coco):
    """Writes COCO's JSON with a photograph of 40 x 30 and these objects."""

    def outlined(*objects):
        root = coco({"a.png": []}, {3: "cat", 5: "dog"})
        path = root / "train/_annotations.coco.json"
        content = json.loads(path.read_text())
        content["annotations"] = [
            {"id": i, "image_id": 7, "bbox": [0, 0, 1, 1], **values}
            for i, values in enumerate(objects, start=1)
        ]
        path.write_text(json.dumps(content))
        return opened(root)

    return outlined


def test_smaller_objects_are_in_front_and_crowds_behind(outlined, line):
    rows = np.zeros((30, 40), np.uint8)
    rows[20:, :] = 1
    compressed = coco_mask.encode(np.asfortranarray(rows))
    runs = [0, 10, 30 * 40 - 10]  # the first ten pixels of the first column
    source = outlined(
        dict(category_id=5, segmentation=[square(14, 8, 4)]),
        dict(category_id=3, segmentation=[square(10, 6, 10), square(30, 2, 3)]),
        dict(
            category_id=3,
            iscrowd=1,
            segmentation=dict(size=[30, 40], counts=compressed["counts"].decode()),
        ),
        dict(category_id=5, segmentation=dict(size=[30, 40], counts=runs)),
    )
    assert source.names == ("background", "cat", "dog")
    expected = np.zeros((30, 40), np.uint8)
    expected[20:, :] = UNLABELLED
    expected[6:16, 10:20] = expected[2:5, 30:33] = 1
    expected[8:12, 14:18] = expected[:10, 0] = 2
    np.testing.assert_array_equal(source[0].target, expected)
    assert "33.3% of all pixels (400) without label" in line()


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        [],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [square(10, 6, 1e300)],
        dict(size=[30, 40], counts=[1200, 1]),
        dict(size=[30, 40], counts=[-1, 1201]),
        dict(size=[40, 30], counts=[0, 1200]),
        dict(size=[30, 40], counts="not runs"),
        dict(size=[30, 40], counts="oooooooooooo0"),
    ],
)
def test_an_outline_that_is_none_is_dropped_and_told(outlined, line, segmentation):
    good = dict(category_id=5, segmentation=[square(14, 8, 4)])
    source = outlined(good, dict(category_id=3, segmentation=segmentation))
    assert np.unique(source[0].target).tolist() == [0, 2]
    assert "objects without an outline (1, the first: annotation 2)" in line()


def test_the_pixels_of_a_compressed_rle_are_those_that_pycocotools_decodes():
    from mobilenets.data.sources.coco_masks import _pixels_of

    rng = np.random.default_rng(0)
    for density in (0, 0.01, 0.5, 1):
        mask = np.asfortranarray(rng.random((53, 211)) < density).astype(np.uint8)
        runs = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
        assert _pixels_of(runs) == 53 * 211


# The composed scenes.


def test_the_scenes_have_the_masks_of_their_objects(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "SIZES", {"train": 6, "validation": 3})
    dataset = NamedDataset(name="fashion_scenes", data_dir=str(tmp_path))
    source = open_source(dataset, "train[2:5]", "mask")
    clothes = open_source(NamedDataset(name="fashion_mnist_subset"), "train")
    assert source.names == ("background", *clothes.names)
    assert len(source) == len(source.sizes) == 3
    garments = {"train": clothes}
    for number in range(3):
        scene = scenes.compose(garments, "train", number + 2)
        classes = np.array([0, *(c + 1 for c in scene.classes)])
        np.testing.assert_array_equal(source[number].target, classes[scene.owners])
        assert tuple(source.sizes[number]) == scene.owners.shape


def test_a_data_set_without_masks_is_refused():
    dataset = NamedDataset(name="fashion_mnist_subset")
    with pytest.raises(UserError, match="has no masks, but the task needs them"):
        open_source(dataset, "train", "mask")
