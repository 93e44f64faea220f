"""Pascal VOC's XML is read as it means, and what is wrong is dropped or said."""

import pytest

from mobilenets import UserError
from mobilenets.config.schema import FolderDataset
from mobilenets.data.sources.opening import open_source

BOX = (11, 6, 30, 10)  # xmin, ymin, xmax, ymax


def opened(root, split="train", **values):
    return open_source(FolderDataset(folder=str(root), **values), split, "boxes")


def xml(objects, size=(40, 30), filename="a.png"):
    items = "".join(
        f"<object><name>{name}</name>{more}<bndbox><xmin>{box[0]}</xmin>"
        f"<ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>"
        "</object>"
        for name, box, more in objects
    )
    shape = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation><filename>{filename}</filename>{shape}{items}</annotation>"


@pytest.fixture
def voc(tmp_path, painted):
    """Writes Annotations, JPEGImages and ImageSets/Main/train.txt."""

    def voc(files):
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            painted(40, 30).save(tmp_path / f"JPEGImages/{name}.png")
            (tmp_path / f"Annotations/{name}.xml").write_text(text)
        names = "\n".join(files)
        (tmp_path / "ImageSets/Main/train.txt").write_text(names + "\n")
        return tmp_path

    return voc


def test_pixels_counted_from_1_become_corners(voc, line):
    """The first and last pixel of 11 and 30, from 1, cover 10 to 30."""
    files = {"a": xml([("dog", BOX, ""), ("cat", (1, 1, 40, 30), "")]), "b": xml([])}
    source = opened(voc(files))
    assert (len(source), source.names) == (2, ("cat", "dog"))
    boxes = source[0].target
    assert boxes.corners.tolist() == [[5, 10, 10, 30], [0, 0, 30, 40]]
    assert boxes.area.tolist() == [100, 1200]
    assert boxes.classes.tolist() == [1, 0]
    assert (
        "in Pascal VOC: 2 photographs, 2 boxes of 2 classes, 1 photograph without"
        in (line())
    )


def test_what_is_difficult_counts_neither_way(voc):
    more = "<difficult>1</difficult>"
    boxes = opened(voc({"a": xml([("dog", BOX, more), ("dog", BOX, "")])}))[0].target
    assert boxes.crowd.tolist() == [True, False]


def test_files_that_say_which_photographs_have_a_class_are_no_splits(voc):
    root = voc({"a": xml([("dog", BOX, "")])})
    (root / "ImageSets/Main/dog_val.txt").write_text("a  1\nb -1\n")
    with pytest.raises(UserError, match="no split val, only train"):
        opened(root, "val")


def test_a_stale_name_in_a_file_does_not_matter(voc):
    source = opened(voc({"a": xml([("dog", BOX, "")]), "b": xml([("dog", BOX, "")])}))
    assert [source[i].origin.rpartition("/")[2] for i in (0, 1)] == ["a.png", "b.png"]


def test_a_photograph_of_another_name_is_found_by_what_the_file_says(voc):
    root = voc({"a": xml([("dog", BOX, "")], filename="x/renamed.png")})
    (root / "JPEGImages/a.png").rename(root / "JPEGImages/renamed.png")
    assert opened(root)[0].origin == str(root / "JPEGImages/renamed.png")


def test_missing_photographs_and_files_are_dropped(voc, line):
    root = voc({n: xml([("dog", BOX, "")], filename=f"{n}.png") for n in "abc"})
    (root / "JPEGImages/b.png").unlink()
    (root / "Annotations/c.xml").unlink()
    assert len(opened(root)) == 1
    said = line()
    assert "photographs that are missing (1, the first: b)" in said
    assert "photographs without an XML file (1, the first: c)" in said


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (
            ("dog", (11, 6, "", 10), ""),
            "objects that are no boxes (1, the first: object 2",
        ),
        (("", BOX, ""), "boxes without a class (1, "),
        (("dog", (11, 6, 9, 10), ""), "boxes without area (1, "),
        (
            ("dog", (11, 6, "nan", 10), ""),
            "boxes with numbers that are not finite (1, ",
        ),
        (("dog", (50, 6, 60, 10), ""), "boxes outside of their photograph (1, "),
    ],
)
def test_a_broken_object_is_dropped_and_counted(voc, line, bad, said):
    assert len(opened(voc({"a": xml([("dog", BOX, ""), bad])}))[0].target) == 1
    assert f"dropped: {said}" in line()


def test_without_a_size_boxes_are_clipped_to_the_photograph(voc):
    root = voc({"a": xml([("dog", (31, 21, 90, 90), "")], size=(0, 0))})
    assert opened(root)[0].target.corners.tolist() == [[20, 30, 30, 40]]


@pytest.mark.parametrize(("folder", "split"), [("train", "train"), (".", "all")])
def test_files_beside_the_photographs_are_read(voc, folder, split):
    root = voc({"a": xml([("dog", BOX, "")])})
    other = root / "other" / folder
    other.mkdir(parents=True)
    (root / "Annotations/a.xml").rename(other / "a.xml")
    (root / "JPEGImages/a.png").rename(other / "a.png")
    assert opened(root / "other", split)[0].origin == str(other / "a.png")


def test_a_file_that_is_cut_short_is_refused(voc):
    root = voc({"a": xml([("dog", BOX, "")])[:-30]})
    with pytest.raises(UserError, match=r"a.xml is not valid XML, or is cut short"):
        opened(root)
