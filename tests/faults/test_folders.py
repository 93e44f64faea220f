"""Folders as people have them: what is a photograph, and what are the classes."""

import os

import pytest
from PIL import Image

import mobilenets
from mobilenets.config.schema import FolderDataset, TableDataset
from mobilenets.data.sources.opening import open_source
from mobilenets.errors import BrokenImage, UserError
from mobilenets.inference import prediction
from mobilenets.inference.description import Description
from mobilenets.tasks.registry import make_task


def save_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2), "red").save(path, format="PNG")


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no image")


@pytest.fixture
def class_folder(tmp_path):
    """Four photographs of a cat, and all that may be beside them."""
    cat = tmp_path / "photos/train/cat"
    for name in ("1.jpg", "2.PNG", "2023/summer/3.jpeg", "x.jpg/4.webp"):
        save_image(cat / name)
    for name in ("._1.jpg", ".DS_Store", "5.heic", "6.HEIC", "notes.txt", "README"):
        write(cat / name)
    for name in ("__MACOSX/1.jpg", "@eaDir/1.jpg", ".thumbnails/1.jpg"):
        save_image(cat / name)
    (cat / "empty.jpg").mkdir()
    (cat / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (cat / "itself.jpg").symlink_to(cat / "itself.jpg")
    (cat / "around").symlink_to(cat)
    os.mkfifo(cat / "pipe.jpg")
    save_image(cat / "run/predictions.png")
    write(cat / "run/config.json")
    (cat / "run/checkpoints").mkdir()
    return cat


SIDES = ("train", "validation")
PHOTOGRAPHS = ["1.jpg", "2.PNG", "2023/summer/3.jpeg", "x.jpg/4.webp"]
IGNORED = (
    "1 .txt file, 1 @eaDir folder, 1 __MACOSX folder, 2 broken links, 1 circular link, "
    "1 hidden folder, 1 other file, 1 pipe and 1 run folder were ignored."
)


def opened(folder, split="train", in_use=(), **options):
    dataset = FolderDataset(folder=str(folder), **options)
    return open_source(dataset, split, in_use=in_use)


def paths(source, folder):
    return [source[i].origin.removeprefix(f"{folder}/") for i in range(len(source))]


def test_training_reads_the_photographs_alone(class_folder):
    source = opened(class_folder.parents[1])
    assert paths(source, class_folder) == PHOTOGRAPHS
    assert {source[i].target for i in range(4)} == {0}


def test_predictions_and_features_read_those_of_training(class_folder):
    found = prediction.images_in(str(class_folder))
    assert [str(p.relative_to(class_folder)) for p in found] == PHOTOGRAPHS
    assert prediction.photos_in([class_folder]) == found


def test_what_is_ignored_is_counted_by_kind_and_told_once(class_folder, capsys):
    opened(class_folder.parents[1])
    of_training = capsys.readouterr().out
    prediction.images_in(str(class_folder))
    of_prediction = capsys.readouterr().out
    for told in (of_training, of_prediction):
        assert told.count("\n") == 1
        assert "2 .heic files, " in told
        assert "2 hidden files, " in told
    assert of_training.startswith(f"In {class_folder.parent}, ")
    rest = of_prediction.replace("2 .heic files, ", "").replace("2 hidden files, ", "")
    assert rest == f"In {class_folder}, {IGNORED}\n"


def test_what_is_ignored_is_told_once_for_both_sides_of_a_division(tmp_path, capsys):
    for name in ("cat", "dog"):
        for i in range(20):
            save_image(tmp_path / name / f"{i}.png")
    write(tmp_path / "cat/notes.txt")
    told = f"In {tmp_path}, 1 .txt file was ignored.\n"
    for split in ("train", "validation"):
        opened(tmp_path, split, in_use=("validation", "train"), eval_fraction=0.5)
    assert capsys.readouterr().out == told
    opened(tmp_path, "validation", in_use=("validation",), eval_fraction=0.5)
    assert capsys.readouterr().out == told


def test_a_folder_of_photographs_alone_tells_nothing(tmp_path, capsys):
    for name in ("train/cat/1.png", "train/dog/1.png"):
        save_image(tmp_path / name)
    opened(tmp_path)
    assert capsys.readouterr().out == ""


def test_a_file_that_vanishes_is_named(class_folder):
    source = opened(class_folder.parents[1])
    (class_folder / "1.jpg").unlink()
    with pytest.raises(BrokenImage, match=r"Cannot read the image .*cat/1\.jpg: No su"):
        source[0]


def test_names_that_are_not_in_utf_8_are_read_and_shown(tmp_path):
    for name in ("cat", "dog"):
        for i in range(10):
            file = os.fsdecode(b"caf\xe9%d.png" % i)
            save_image(tmp_path / "train" / name / file)
    assert paths(opened(tmp_path), tmp_path)[0] == "train/cat/caf�0.png"
    halves = [opened(tmp_path / "train", s, eval_fraction=0.5) for s in SIDES]
    assert sum(map(len, halves)) == 20
    (tmp_path / "train" / os.fsdecode(b"\xe9")).mkdir()
    with pytest.raises(UserError, match=r"class � in .* has a name that is not in UTF"):
        opened(tmp_path)


def test_a_pipe_is_not_waited_for(class_folder):
    with pytest.raises(BrokenImage, match=r"pipe\.jpg: it is not a file"):
        prediction.read_photo(class_folder / "pipe.jpg", 8, None)


@pytest.fixture
def photos(tmp_path):
    """Two splits, and beside them what is none."""
    for split in ("train", "validation"):
        for name in ("cat", "dog"):
            save_image(tmp_path / split / name / "1.png")
    for beside in (
        *("raw/2023/1.png", "raw/2024/1.png", "test/1.png", "@eaDir/cat/1.png"),
        *("__MACOSX/cat/1.png", ".git/cat/1.png", "old/wolf/1.png"),
    ):
        save_image(tmp_path / beside)
    write(tmp_path / "run/config.json")
    (tmp_path / "run/checkpoints/100").mkdir(parents=True)
    return tmp_path


def test_the_classes_are_those_of_the_splits_in_use(photos):
    for split in ("train", "validation"):
        source = opened(photos, split, in_use=("train", "validation"))
        assert source.names == ("cat", "dog")
        assert len(source) == 2
    save_image(photos / "validation/eel/1.png")
    names = opened(photos, "train", in_use=("train", "validation")).names
    assert names == ("cat", "dog", "eel")
    assert opened(photos, "train", in_use=("train", "old")).names == (
        *("cat", "dog", "wolf"),
    )


def test_the_splits_that_are_named_are_those_with_photographs(photos):
    with pytest.raises(
        UserError, match="Choose from: old, raw, test, train, validation"
    ):
        opened(photos, "night")


def test_a_folder_of_classes_is_divided_with_their_folders(tmp_path):
    for i in range(30):
        for name in ("cat", "dog", "cat/2023"):
            save_image(tmp_path / f"{name}/{i}.png")
    save_image(tmp_path / "__MACOSX/cat/1.png")
    write(tmp_path / "run/config.json")
    (tmp_path / "run/checkpoints").mkdir()
    both = [
        opened(tmp_path, split, eval_fraction=0.3) for split in ("train", "validation")
    ]
    assert [source.names for source in both] == [("cat", "dog")] * 2
    assert sum(map(len, both)) == 90
    of_cats = [path for path in paths(both[0], tmp_path) if path.startswith("cat/2023")]
    assert 10 < len(of_cats) < 30


def test_a_folder_of_splits_is_not_divided(tmp_path):
    for name in ("train/cat/1.png", "cat/2.png", "dog/3.png"):
        save_image(tmp_path / name)
    with pytest.raises(UserError, match="has folders in train: leave it out where"):
        opened(tmp_path, eval_fraction=0.3)


def test_rows_of_unused_splits_need_no_labels(tmp_path):
    for i in range(4):
        save_image(tmp_path / f"{i}.png")
    rows = "0.png,cat,train\n1.png,dog,train\n2.png,cat,validation\n3.png,,test\n"
    (tmp_path / "t.csv").write_text(f"path,label,split\n{rows}")
    dataset = TableDataset(table=str(tmp_path / "t.csv"))
    source = open_source(dataset, "train", in_use=("train", "validation"))
    assert source.names == ("cat", "dog")
    with pytest.raises(UserError, match="line 5: label is empty"):
        open_source(dataset, "test")


def evaluated(folder, split):
    """The task that evaluates one split with a network of three classes."""
    config = mobilenets.load_config(
        "quickstart:smoke",
        {"dataset.folder": str(folder), "dataset.eval_split": split},
    )
    made = make_task(
        config,
        Description(
            task="classification",
            network=make_task(mobilenets.load_config("quickstart:smoke")).spec,
            preprocessing=config.preprocessing,
            class_names=("ant", "cat", "dog"),
        ),
    )
    return made


def test_a_folder_is_evaluated_that_has_only_the_split_asked_for(tmp_path, capsys):
    for name in ("test/dog/1.png", "test/cat/1.png"):
        save_image(tmp_path / name)
    task = evaluated(tmp_path, "test")
    assert task.eval_sizes == {"val": 2}
    labels = [label for batch in task.eval_batches("val") for label in batch["label"]]
    assert labels[:2] == [1, 2]
    told = capsys.readouterr().out
    assert told == "The evaluation set val has no images of ant to evaluate.\n"
    with pytest.raises(UserError, match="Choose from: test") as caught:
        evaluated(tmp_path, "validation")
    assert str(caught.value).endswith("Give --config.dataset.eval_split=test.")


def test_a_flat_folder_is_evaluated_as_a_split(tmp_path):
    save_image(tmp_path / "cat/1.png")
    save_image(tmp_path / "dog/1.png")
    with pytest.raises(UserError, match=f"Move them into {tmp_path}/validation"):
        evaluated(tmp_path, "validation")
