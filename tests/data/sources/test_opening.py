"""A data set opens only for what it knows of its images."""

import pytest

from mobilenets import UserError
from mobilenets.config.schema import FolderDataset, NamedDataset, NoDataset
from mobilenets.data.sources.opening import open_source


def test_no_data_set_is_told():
    with pytest.raises(UserError, match=r"data set is missing: give dataset\.folder"):
        open_source(NoDataset(), "train")


@pytest.mark.parametrize(
    "dataset", [FolderDataset(folder="x"), NamedDataset(name="fashion_mnist_subset")]
)
def test_one_class_an_image_is_not_attributes(dataset):
    with pytest.raises(UserError, match="has one class per image, but the task needs"):
        open_source(dataset, "train", "attributes")


def test_attributes_are_not_one_class():
    with pytest.raises(
        UserError, match=r"has several attributes .*task\.name=multilab"
    ):
        open_source(NamedDataset(name="fashion_collages"), "train", "class")
