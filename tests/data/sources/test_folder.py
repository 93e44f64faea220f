"""Folders of images: their classes, their splits, and what is wrong with them."""

import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.config.schema import FolderDataset, FolderEval
from mobilenets.data.sources.opening import open_source


def targets(source):
    return [source[i].target for i in range(len(source))]


def save_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2), "red").save(path, format="PNG")


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


def open_in(folder, split, eval_fraction=0.0, to_train=False):
    dataset = FolderDataset(folder=str(folder), eval_fraction=eval_fraction)
    in_use = ("train", "test")
    return open_source(dataset, split, to_train=to_train, in_use=in_use)


def files(source):
    paths = [source[i].origin.split("/")[-2:] for i in range(len(source))]
    return ["/".join(p) for p in paths]


def test_a_folder_is_read_in_the_order_of_its_names(folder):
    source = open_in(folder, "train")
    assert files(source) == ["cat/10.jpg", "cat/2.webp", "dog/a.jpeg", "dog/b.PNG"]
    assert source[0].image == (folder / "train/cat/10.jpg").read_bytes()
    assert source[3].origin == str(folder / "train/dog/b.PNG")


def test_the_splits_in_use_number_the_classes_alike(folder):
    train = open_in(folder, "train")
    test = open_in(folder, "test")
    assert train.names == test.names == ("ant", "cat", "dog", "eel")
    assert targets(train) == [1, 1, 2, 2]
    assert targets(test) == [0, 2, 3]


def test_a_folder_of_links_to_images_is_read(folder):
    (folder / "linked").symlink_to(folder / "train")
    assert len(open_in(folder, "linked")) == 4


def test_a_split_without_images_is_refused(folder):
    (folder / "empty/dog").mkdir(parents=True)
    (folder / "empty/dog/notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"empty holds no images: .*CLASS/\*\.jpg"):
        open_in(folder, "empty")


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    missing = str(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"dataset\.folder .*nowhere is not a folder"):
        open_in(missing, "train")


def test_to_train_on_a_class_without_images_is_refused(folder):
    message = (
        r"train has no images of ant, eel, which are classes of its other splits, or"
    )
    with pytest.raises(UserError, match=message):
        open_in(folder, "train", to_train=True)
    for name in ("ant", "eel"):
        save_image(folder / f"train/{name}/1.png")
    assert len(open_in(folder, "train", to_train=True)) == 6


def test_to_train_on_a_single_class_is_refused(tmp_path):
    save_image(tmp_path / "train/cat/1.png")
    with pytest.raises(UserError, match="has only the class cat: classification needs"):
        open_in(tmp_path, "train", to_train=True)


def test_a_folder_without_splits_is_told_what_is_expected(tmp_path):
    with pytest.raises(
        UserError, match=r"has no folders\. Images are expected as train/"
    ):
        open_in(tmp_path, "train")


def test_an_unknown_split_is_met_with_the_closest(folder):
    (folder / "linked").mkdir()
    with pytest.raises(UserError, match=r"did you mean 'test'.*: linked, test, train"):
        open_in(folder, "tset")


def sentence(folder, split, **options):
    with pytest.raises(UserError) as caught:
        open_source(FolderDataset(folder=str(folder)), split, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", ["val", "valid", "test", "Validation"])
def test_a_split_of_another_name_is_met_with_the_option_that_chooses_it(tmp_path, name):
    for split in ("train", name):
        save_image(tmp_path / split / "cat/1.png")
    told = sentence(tmp_path, "validation")
    assert told.endswith(f"Give --config.dataset.eval_split={name}.")
    told = sentence(tmp_path, "validation", option="evals.night.split")
    assert told.endswith(f"Give --config.evals.night.split={name}.")
    told = sentence(tmp_path, "training", to_train=True)
    assert told.endswith("Give --config.dataset.train_split=train.")
    told = sentence(tmp_path, "night")
    assert told.endswith("Give one of them by --config.dataset.eval_split.")


def test_a_folder_of_classes_is_met_with_the_option_that_divides_it(undivided):
    told = sentence(undivided, "train", to_train=True)
    assert "has no folder train. The folders in it, cat, dog, hold no folders" in told
    assert "Give --config.dataset.eval_fraction=0.2 to evaluate a fifth" in told
    with pytest.raises(UserError, match=f"Move them into {undivided}/night"):
        open_source(FolderEval(folder=str(undivided)), "night")


def test_a_folder_with_one_split_is_met_with_the_option_that_divides_it(tmp_path):
    save_image(tmp_path / "train/cat/1.png")
    told = sentence(tmp_path, "validation")
    assert "has no split validation, only train. Give --config.dataset.eval_fr" in told


def test_classes_without_images_to_evaluate_are_told(folder, capsys):
    open_in(folder, "test")
    assert capsys.readouterr().out == f"{folder}/test has no images of cat.\n"
    open_in(folder, "train")
    told = capsys.readouterr().out
    assert told.endswith(f"\n{folder}/train has no images of ant, eel.\n")
    for i in range(11):
        save_image(folder / f"test/class [b{i:02}]/1.png")
    open_in(folder, "train")
    told = capsys.readouterr().out
    assert "of ant, class [b00], class [b01]" in told
    assert "class [b08] and 3 others" in told


def test_nothing_is_told_where_every_class_has_images(undivided, capsys):
    open_in(undivided, "validation", 0.2)
    assert capsys.readouterr().out == ""


@pytest.fixture
def undivided(tmp_path):
    """A hundred images of each of two classes, and no split."""
    for name in ("cat", "dog"):
        for i in range(100):
            save_image(tmp_path / name / f"{i}.png")
    return tmp_path


def test_a_folder_of_classes_is_divided_by_the_names_of_its_files(undivided):
    train = files(open_in(undivided, "train", 0.2, to_train=True))
    validation = files(open_in(undivided, "validation", 0.2))
    assert not {*train} & {*validation}
    assert len(train) + len(validation) == 200
    assert 25 < len(validation) < 55
    for name in ("cat", "dog"):  # not the same numbers of each
        assert sum(file.startswith(name) for file in validation) > 8


def test_an_image_stays_on_its_side_when_others_come(undivided):
    before = {*files(open_in(undivided, "validation", 0.2))}
    for i in range(100, 150):
        save_image(undivided / "ant" / f"{i}.png")
    source = open_in(undivided, "validation", 0.2)
    assert source.names == ("ant", "cat", "dog")
    assert {f for f in files(source) if not f.startswith("ant")} == before


def test_a_folder_with_one_split_is_divided_too(undivided, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    (root / "train").symlink_to(undivided)
    found = files(open_in(root, "validation", 0.3))
    assert found == files(open_in(undivided, "validation", 0.3))


def test_a_folder_with_splits_is_not_divided(folder):
    with pytest.raises(
        UserError, match=r"divides .* has folders in test, train: leave"
    ):
        open_in(folder, "train", 0.2)


def test_a_division_that_leaves_nothing_is_told(tmp_path):
    for name in ("cat", "dog"):
        save_image(tmp_path / name / "1.png")
    with pytest.raises(UserError, match=r"leaves validation without any of the 2 imag"):
        open_in(tmp_path, "validation", 1e-9)


def test_a_division_has_two_splits(undivided):
    with pytest.raises(UserError, match=r"'test'.* Choose from: train, validation"):
        open_in(undivided, "test", 0.2)
