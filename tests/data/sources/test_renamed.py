"""Classes and attributes of one source get the numbers of another by their names."""

import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.data.sources.arrays import ArraySource
from mobilenets.data.sources.boxed_folder import BoxedFolderSource
from mobilenets.data.sources.renamed import with_names

NAN = np.nan


def source_of(targets, names):
    images = np.arange(len(targets), dtype=np.uint8)[:, None, None] * np.ones(
        (1, 2, 2), np.uint8
    )
    return ArraySource(images, np.array(targets), names)


def test_classes_are_numbered_by_the_names_of_the_network():
    source = source_of([0, 1, 2, 1], ("dog", "ant", "cat"))
    renamed = with_names(source, ("ant", "bee", "cat", "dog"), "The set")
    assert renamed.names == ("ant", "bee", "cat", "dog")
    assert [renamed[i].target for i in range(len(renamed))] == [3, 0, 2, 0]
    assert isinstance(renamed[0].target, int)
    assert renamed.upright == source.upright
    for i in range(4):
        assert renamed[i].origin == source[i].origin
        np.testing.assert_array_equal(renamed[i].image, source[i].image)


def test_names_that_a_source_lacks_are_told(capsys):
    with_names(source_of([0, 0], ("dog",)), ("ant", "bee", "dog"), "The set")
    assert capsys.readouterr().out == "The set has no images of ant, bee to evaluate.\n"


def test_attributes_that_a_source_lacks_are_unknown():
    source = source_of([[1, 0], [NAN, 1], [0, 0]], ("c", "a"))
    renamed = with_names(source, ("a", "b", "c"), "The set")
    found = np.stack([renamed[i].target for i in range(3)])
    np.testing.assert_array_equal(found, [[0, NAN, 1], [1, NAN, NAN], [0, NAN, 0]])
    assert found.dtype == np.float32


def test_the_same_names_leave_a_source_as_it_is():
    source = source_of([0, 1], ("cat", "dog"))
    assert with_names(source, ["cat", "dog"], "The set") is source


@pytest.mark.parametrize("targets", [[0, 1], [[0, 1], [1, NAN]]])
def test_an_unknown_name_is_refused_with_those_there_are(targets):
    source = source_of(targets, ("cat", "cow"))
    with pytest.raises(UserError, match=r"The set has cow, which .* are cat, dog\."):
        with_names(source, ("cat", "dog"), "The set")


def test_of_many_unknown_names_five_are_told():
    source = source_of([0] * 3, tuple("abcdefg"))
    with pytest.raises(UserError, match="has a, b, c, d, e and others, which"):
        with_names(source, ("x", "y"), "The set")


def test_boxes_are_numbered_by_the_names_of_the_network(coco):
    root = coco({"a.jpg": [(3, 0, 0, 9, 9), (5, 2, 3, 10, 4)], "b.jpg": []})
    source = BoxedFolderSource(str(root), "train")
    renamed = with_names(source, ("ant", "dog", "cat"), "The set")
    boxes, before = renamed[0].target, source[0].target
    assert [renamed.names[i] for i in boxes.classes] == ["cat", "dog"]
    assert boxes.classes.dtype == np.int32
    np.testing.assert_array_equal(boxes.corners, before.corners)
    assert len(renamed[1].target) == 0
    assert renamed.category_ids == {"cat": 3, "dog": 5}
    assert (renamed.image_ids, renamed.box_counts.tolist()) == ([7, 8], [2, 0])
    with pytest.raises(UserError, match="has dog, which the network was not trained"):
        with_names(source, ("cat",), "The set")
