"""Data sets of TFDS open as they should, and say what is wrong where they cannot."""

import collections
import io
import shutil

import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.config.schema import NamedDataset, PreparedDataset
from mobilenets.data.sources import tfds as tfds_sources
from mobilenets.data.sources.base import UnknownSplit
from mobilenets.data.sources.embedded import PREPARED
from mobilenets.data.sources.opening import open_source

SUBSET = "fashion_mnist_subset"


def labels(source):
    return [source[i].target for i in range(len(source))]


def copy_of_embedded(path, old, new):
    """The embedded set with its metadata changed; the records stay out."""
    path.mkdir(parents=True)
    for file in PREPARED[SUBSET].glob("*.json"):
        text = file.read_text()
        (path / file.name).write_text(text.replace(old, new))
    shutil.copy(PREPARED[SUBSET] / "label.labels.txt", path)


@pytest.mark.parametrize(("split", "per_class"), [("train", 600), ("validation", 100)])
def test_the_embedded_set_has_ten_equal_classes(split, per_class):
    source = open_source(NamedDataset(name=SUBSET), split)
    assert len(source) == 10 * per_class
    assert len(set(source.names)) == 10
    counts = collections.Counter(labels(source))
    assert counts == dict.fromkeys(range(10), per_class)


def test_a_record_of_the_embedded_set_is_an_encoded_grey_image():
    record = open_source(NamedDataset(name=SUBSET), "train")[7]
    image = Image.open(io.BytesIO(record.image))
    assert (image.size, image.mode) == ((28, 28), "L")
    assert record.origin == "record 7 of fashion_mnist_subset, split train"


def test_splits_are_sliced_as_in_tfds():
    dataset = NamedDataset(name=SUBSET)
    whole = open_source(dataset, "train")
    first = open_source(dataset, "train[:1%]")
    middle = open_source(dataset, "train[100:130]")
    assert (len(first), len(middle)) == (60, 30)
    assert [first[i].image for i in (0, 59)] == [whole[i].image for i in (0, 59)]
    assert [middle[i].image for i in (0, 29)] == [whole[i].image for i in (100, 129)]
    assert len(open_source(dataset, "train+validation[:10]")) == 6010


def test_a_prepared_directory_opens_wherever_it_lies(tmp_path):
    path = tmp_path / "mine"
    shutil.copytree(PREPARED[SUBSET], path)
    source = open_source(PreparedDataset(directory=str(path)), "validation")
    expected = open_source(NamedDataset(name=SUBSET), "validation")
    assert len(source) == 1000
    assert source.names == expected.names
    assert source[999].image == expected[999].image


def test_an_unknown_data_set_is_met_with_the_closest():
    with pytest.raises(UserError, match=r"'imagnet2012'\. Did you mean imagenet2012"):
        open_source(NamedDataset(name="imagnet2012"), "train")
    with pytest.raises(UserError, match="Did you mean fashion_mnist_subset"):
        open_source(NamedDataset(name="fashion_mnist_subsets"), "train")


def test_a_data_set_that_is_not_prepared_is_met_with_the_command(tmp_path):
    with pytest.raises(UserError, match="not prepared") as caught:
        open_source(NamedDataset(name="imagenet2012", data_dir=str(tmp_path)), "train")
    command = (
        f"mobilenets prepare imagenet2012 --data-dir {tmp_path} "
        "--manual-dir FOLDER_OF_THE_DOWNLOADED_FILES"
    )
    assert str(caught.value).endswith(command)


def test_an_unknown_split_is_met_with_the_closest():
    with pytest.raises(UserError, match=r"did you mean 'train'.*train, validation"):
        open_source(NamedDataset(name=SUBSET), "trian")


def test_the_only_split_of_a_data_set_is_to_be_sliced(monkeypatch):
    def refuse(builder, split):
        raise UnknownSplit(builder.name, split, ["train"])

    monkeypatch.setattr(tfds_sources, "TfdsSource", refuse)
    with pytest.raises(
        UserError, match=r"train_split='train\[:90%\]' --config\.dataset"
    ):
        open_source(NamedDataset(name=SUBSET), "validation")


@pytest.mark.parametrize("split", ["train[", "train[:200%]", "train[0:9999]", ""])
def test_a_wrong_slice_is_named(split):
    with pytest.raises(UserError) as caught:
        open_source(NamedDataset(name=SUBSET), split)
    assert f"The split {split!r} is wrong" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_directory_that_is_not_prepared_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"not a prepared TFDS.*dataset_info\.json"):
        open_source(PreparedDataset(directory=str(tmp_path)), "train")


def test_a_data_set_without_labels_is_refused(tmp_path):
    copy_of_embedded(tmp_path / "set", '"label"', '"kind"')
    with pytest.raises(UserError, match=r"not for classification.* has .*kind"):
        open_source(PreparedDataset(directory=str(tmp_path / "set")), "train")


def test_tfrecords_are_refused_with_the_command_that_converts_them(tmp_path):
    copy_of_embedded(tmp_path / "set", "array_record", "tfrecord")
    with pytest.raises(UserError, match="prepared as tfrecord") as caught:
        open_source(PreparedDataset(directory=str(tmp_path / "set")), "train")
    assert str(caught.value).endswith(f"&& mobilenets prepare {tmp_path / 'set'}")


@pytest.mark.parametrize("name", [SUBSET, "fashion_collages"])
@pytest.mark.parametrize(
    "split", ["train[5:2]", "train[5:5]", "train[:0%]", "validation+train[-5:-10]"]
)
def test_a_slice_without_images_is_refused(name, split):
    labels = "class" if name == SUBSET else "attributes"
    with pytest.raises(UserError, match=r"holds no images: its slice of train goes"):
        open_source(NamedDataset(name=name), split, labels)
