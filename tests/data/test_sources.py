"""Every kind of data set opens as it should, and says what is wrong where it cannot."""

import collections
import io
import shutil

import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.config.schema import FolderDataset, NamedDataset, PreparedDataset
from mobilenets.data.sources import EMBEDDED, open_source

SUBSET = "fashion_mnist_subset"


def labels(source):
    return [source[i].label for i in range(len(source))]


def save_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2), "red").save(path, format="PNG")


def copy_of_embedded(path, old, new):
    """The embedded set with its metadata changed; the records stay out."""
    path.mkdir(parents=True)
    for file in EMBEDDED[SUBSET].glob("*.json"):
        text = file.read_text()
        (path / file.name).write_text(text.replace(old, new))
    shutil.copy(EMBEDDED[SUBSET] / "label.labels.txt", path)


@pytest.mark.parametrize(("split", "per_class"), [("train", 600), ("validation", 100)])
def test_the_embedded_set_has_ten_equal_classes(split, per_class):
    source = open_source(NamedDataset(name=SUBSET), split)
    assert len(source) == 10 * per_class
    assert len(set(source.class_names)) == 10
    counts = collections.Counter(labels(source))
    assert counts == dict.fromkeys(range(10), per_class)


def test_a_record_of_the_embedded_set_is_an_encoded_grey_image():
    example = open_source(NamedDataset(name=SUBSET), "train")[7]
    image = Image.open(io.BytesIO(example.image))
    assert (image.size, image.mode) == ((28, 28), "L")
    assert example.origin == "record 7 of fashion_mnist_subset, split train"


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
    shutil.copytree(EMBEDDED[SUBSET], path)
    source = open_source(PreparedDataset(directory=str(path)), "validation")
    expected = open_source(NamedDataset(name=SUBSET), "validation")
    assert len(source) == 1000
    assert source.class_names == expected.class_names
    assert source[999].image == expected[999].image


@pytest.fixture
def folder(tmp_path):
    """Four classes, of which only "dog" is in both splits."""
    for name in ("dog/b.PNG", "dog/a.jpeg", "cat/2.webp", "cat/10.jpg"):
        save_image(tmp_path / "train" / name)
    for name in ("dog/c.png", "ant/d.png", "eel/e.png"):
        save_image(tmp_path / "test" / name)
    for ignored in (".cache/x.png", "train/.hidden/x.png", ".git/dog/x.png"):
        save_image(tmp_path / ignored)
    (tmp_path / "train/cat/notes.txt").write_text("no image")
    (tmp_path / "train/readme.md").write_text("no class")
    return tmp_path


def open_in(folder, split, train_split="none of them"):
    return open_source(
        FolderDataset(folder=str(folder), train_split=train_split), split
    )


def files(source):
    paths = [source[i].origin.split("/")[-2:] for i in range(len(source))]
    return ["/".join(p) for p in paths]


def test_a_folder_is_read_in_the_order_of_its_names(folder):
    source = open_in(folder, "train")
    assert files(source) == ["cat/10.jpg", "cat/2.webp", "dog/a.jpeg", "dog/b.PNG"]
    assert source[0].image == (folder / "train/cat/10.jpg").read_bytes()
    assert source[3].origin == str(folder / "train/dog/b.PNG")


def test_all_splits_of_a_folder_number_the_classes_alike(folder):
    train = open_in(folder, "train")
    test = open_in(folder, "test")
    assert train.class_names == test.class_names == ("ant", "cat", "dog", "eel")
    assert labels(train) == [1, 1, 2, 2]
    assert labels(test) == [0, 2, 3]


def test_a_folder_of_links_to_images_is_read(folder):
    (folder / "linked").symlink_to(folder / "train")
    assert len(open_in(folder, "linked")) == 4


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


def test_an_unknown_split_is_met_with_the_closest(folder):
    with pytest.raises(UserError, match=r"did you mean 'train'.*train, validation"):
        open_source(NamedDataset(name=SUBSET), "trian")
    with pytest.raises(UserError, match=r"did you mean 'test'.*: linked, test, train"):
        (folder / "linked").mkdir()
        open_in(folder, "tset")


@pytest.mark.parametrize("split", ["train[", "train[:200%]", "train[0:9999]", ""])
def test_a_wrong_slice_is_named(split):
    with pytest.raises(UserError) as caught:
        open_source(NamedDataset(name=SUBSET), split)
    assert f"The split {split!r} is wrong" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_directory_that_is_not_prepared_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"not a prepared TFDS.*dataset_info\.json"):
        open_source(PreparedDataset(directory=str(tmp_path)), "train")


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    missing = str(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"dataset\.folder .*nowhere is not a folder"):
        open_source(FolderDataset(folder=missing), "train")


def test_a_split_without_images_is_refused(folder):
    (folder / "empty/dog").mkdir(parents=True)
    (folder / "empty/dog/notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"empty holds no images: .*CLASS/\*\.jpg"):
        open_in(folder, "empty")


def test_a_data_set_without_labels_is_refused(tmp_path):
    copy_of_embedded(tmp_path / "set", '"label"', '"kind"')
    with pytest.raises(UserError, match=r"not for classification.* has .*kind"):
        open_source(PreparedDataset(directory=str(tmp_path / "set")), "train")


def test_tfrecords_are_refused_with_the_command_that_converts_them(tmp_path):
    copy_of_embedded(tmp_path / "set", "array_record", "tfrecord")
    with pytest.raises(UserError, match="prepared as tfrecord") as caught:
        open_source(PreparedDataset(directory=str(tmp_path / "set")), "train")
    assert f"tfds convert_format --dataset_version_dir={tmp_path / 'set'} " in str(
        caught.value
    )


def test_to_train_on_a_class_without_images_is_refused(folder):
    message = r"train has no images of ant, eel, which other splits or an empty folder"
    with pytest.raises(UserError, match=message):
        open_in(folder, "train", train_split="train")
    for name in ("ant", "eel"):
        save_image(folder / f"train/{name}/1.png")
    assert len(open_in(folder, "train", train_split="train")) == 6


def test_to_train_on_a_single_class_is_refused(tmp_path):
    save_image(tmp_path / "train/cat/1.png")
    with pytest.raises(UserError, match="has the one class cat: to tell classes apart"):
        open_in(tmp_path, "train", train_split="train")


def test_a_folder_without_splits_is_told_what_is_expected(tmp_path):
    with pytest.raises(
        UserError, match=r"has no folders\. Images are expected as train/"
    ):
        open_in(tmp_path, "train")
