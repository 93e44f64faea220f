"""A folder or a table becomes one data set that is read as the photographs are."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mobilenets import UserError
from mobilenets.config.schema import FolderDataset, PreparedDataset
from mobilenets.data import packing, shards
from mobilenets.data.decoding import decode
from mobilenets.data.sources.opening import open_source

ORIENTATION = 274  # the EXIF tag


def write_photo(path, number, turned=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (8, 12, 3), np.uint8)
    exif = Image.Exif()
    if turned:
        exif[ORIENTATION] = 6
    Image.fromarray(pixels).save(path, exif=exif)


def write_photos(folder, cats=4, dogs=3):
    for number in range(cats):
        write_photo(folder / f"cat/{number}.jpg", number, turned=number == 1)
    for number in range(dogs):
        write_photo(folder / f"black dog/{number}.png", 100 + number)
    return folder


def pack(folder, target):
    return packing.pack(packing.open_folder(str(folder)), target / "photos/1.0.0")


def opened(packed, split):
    return open_source(PreparedDataset(directory=str(packed.directory)), split)


def seen(source):
    """What a network sees of each image, and its class."""
    records = [source[i] for i in range(len(source))]
    return sorted(
        (
            source.names[r.target],
            np.asarray(decode(r.image, r.origin, source.upright)).tobytes(),
        )
        for r in records
    )


def test_a_folder_of_classes_becomes_one_split(tmp_path):
    photos = write_photos(tmp_path / "photos")
    packed = pack(photos, tmp_path / "tfds")
    assert packed.sizes == {"train": 7} and not packed.broken
    folder = open_source(FolderDataset(folder=str(photos)), "all")
    source = opened(packed, "train")
    assert source.names == folder.names == ("black dog", "cat")
    assert seen(source) == seen(folder)
    assert len(opened(packed, "train[:3]")) == 3
    originals = {path.read_bytes() for path in photos.rglob("*.*")}
    assert {source[i].image for i in range(7)} == originals


def test_splits_stay_splits(tmp_path):
    write_photos(tmp_path / "photos/train")
    write_photos(tmp_path / "photos/validation", cats=2, dogs=0)
    packed = pack(tmp_path / "photos", tmp_path)
    assert packed.sizes == {"train": 7, "validation": 2}
    dataset = FolderDataset(folder=str(tmp_path / "photos"))
    for split in packed.sizes:
        in_use = ["train", "validation"]
        folder = open_source(dataset, split, in_use=in_use)
        assert opened(packed, split).names == folder.names
        assert seen(opened(packed, split)) == seen(folder)


def test_a_table_becomes_its_splits(tmp_path):
    write_photos(tmp_path)
    rows = ["path,label,split", "cat/0.jpg,tom,train", "cat/1.jpg,tim,train"]
    rows += ["black dog/0.png,tim,test"]
    (tmp_path / "my list.csv").write_text("\n".join(rows))
    table = str(tmp_path / "my list.csv")
    directory = packing.directory_of(str(tmp_path), table)
    assert directory == tmp_path / "my_list/1.0.0"
    packed = packing.pack(packing.open_table(table), directory)
    assert packed.sizes == {"test": 1, "train": 2}
    source = opened(packed, "train")
    assert source.names == ("tim", "tom")
    assert [name for name, _ in seen(source)] == ["tim", "tom"]


def test_files_that_cannot_be_read_are_told_and_left_out(tmp_path):
    photos = write_photos(tmp_path / "photos")
    (photos / "cat/2.jpg").write_bytes(b"no image")
    (photos / "cat/3.jpg").write_bytes((photos / "cat/3.jpg").read_bytes()[:200])
    packed = pack(photos, tmp_path / "tfds")
    assert packed.sizes == {"train": 5}
    assert len(opened(packed, "train")) == 5
    told = sorted(packed.broken)
    assert len(told) == 2 and "cat/2.jpg" in told[0] and "cat/3.jpg" in told[1]


def test_only_unreadable_files_are_no_data_set(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / f"photos/{name}/1.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match="None of 2 images can be read"):
        pack(tmp_path / "photos", tmp_path / "tfds")
    assert not (tmp_path / "tfds/photos/1.0.0").exists()


class Killed(BaseException):
    """What ends a process without anything being put in order."""


@pytest.fixture
def small_files(monkeypatch):
    """Two images in each file; the names of those that are written."""
    monkeypatch.setattr(packing, "_OF_SHARD", 2)
    written, write = [], shards.write

    def noted(path, examples):
        written.append(path.name)
        return write(path, examples)

    monkeypatch.setattr(shards, "write", noted)
    return written


def kill_at(monkeypatch, number):
    """Ends the packing while the image of that number is read."""
    read, calls = packing._read, []

    def read_or_end(source, index):
        calls.append(index)
        if len(calls) == number:
            raise Killed
        return read(source, index)

    monkeypatch.setattr(packing, "_read", read_or_end)


@pytest.mark.parametrize("killed_at", [1, 4, 7])
def test_a_packing_that_was_killed_continues(
    tmp_path, monkeypatch, small_files, killed_at
):
    photos = write_photos(tmp_path / "photos")
    (photos / "cat/0.jpg").write_bytes(b"no image")
    whole = pack(photos, tmp_path / "whole")
    names = list(small_files)
    assert len(names) == 4
    small_files.clear()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, killed_at)
        pack(photos, tmp_path / "tfds")
    assert not (tmp_path / "tfds/photos/1.0.0").exists()
    finished = len(small_files) - 1
    small_files.clear()
    packed = pack(photos, tmp_path / "tfds")
    assert small_files == names[finished:]
    assert packed.broken == whole.broken and packed.sizes == whole.sizes == {"train": 6}
    for i in range(6):
        assert opened(packed, "train")[i].image == opened(whole, "train")[i].image
    left = {path.name for path in packed.directory.iterdir()}
    assert left == {path.name for path in whole.directory.iterdir()}
    assert not [name for name in left if "unfinished" in name or name == "progress"]


@pytest.mark.slow
def test_a_process_that_was_killed_leaves_what_another_continues(tmp_path, small_files):
    photos = write_photos(tmp_path / "photos")
    code = f"""
import os, pathlib, signal
from mobilenets.data import packing
packing._OF_SHARD = 2
read, calls = packing._read, []
def read_or_end(source, index):
    calls.append(index)
    if len(calls) > 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(source, index)
packing._read = read_or_end
sources = packing.open_folder({str(photos)!r})
packing.pack(sources, pathlib.Path({str(tmp_path / "tfds/photos/1.0.0")!r}))
"""
    ended = subprocess.run([sys.executable, "-c", code])
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "tfds/photos/1.0.0").exists()
    packed = pack(photos, tmp_path / "tfds")
    assert 0 < len(small_files) < 4  # some were complete
    folder = open_source(FolderDataset(folder=str(photos)), "all")
    assert seen(opened(packed, "train")) == seen(folder)


def test_images_that_changed_meanwhile_are_packed_anew(
    tmp_path, monkeypatch, small_files
):
    photos = write_photos(tmp_path / "photos")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, 5)
        pack(photos, tmp_path / "tfds")
    write_photo(photos / "cat/9.jpg", 9)
    small_files.clear()
    packed = pack(photos, tmp_path / "tfds")
    assert packed.sizes == {"train": 8} and len(small_files) == 4
    folder = open_source(FolderDataset(folder=str(photos)), "all")
    assert seen(opened(packed, "train")) == seen(folder)


def test_what_is_packed_is_not_packed_again(tmp_path, small_files):
    photos = write_photos(tmp_path / "photos")
    first = pack(photos, tmp_path / "tfds")
    small_files.clear()
    assert pack(photos, tmp_path / "tfds") == first
    assert not small_files
    (photos / "cat/0.jpg").unlink()
    with pytest.raises(UserError, match="was made from other images"):
        pack(photos, tmp_path / "tfds")


def test_names_that_tfds_cannot_keep_are_refused(tmp_path):
    write_photos(tmp_path / "photos/my train")
    with pytest.raises(UserError, match="split 'my train'"):
        pack(tmp_path / "photos", tmp_path / "tfds")
    (tmp_path / "photos/my train").rename(tmp_path / "photos/all")
    write_photos(tmp_path / "photos/train")
    with pytest.raises(UserError, match="split 'all'"):
        pack(tmp_path / "photos", tmp_path / "tfds")
    write_photos(tmp_path / "pets")
    (tmp_path / "pets/cat").rename(tmp_path / "pets/cat ")
    with pytest.raises(UserError, match="class 'cat '"):
        pack(tmp_path / "pets", tmp_path / "tfds")


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path):
    photos = write_photos(tmp_path / "photos")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write to .*Not a directory"):
        pack(photos, tmp_path / "file")


def test_the_command_tells_where_the_data_set_is(run, tmp_path):
    photos = write_photos(tmp_path / "photos")
    (photos / "cat/2.jpg").write_bytes(b"no image")
    words = ["prepare", "--data-dir", tmp_path / "tfds"]
    result = run(*words, "--folder", photos)
    assert result.exit_code == 0, result.stderr
    directory = tmp_path / "tfds/photos/1.0.0"
    given = [word.strip("'") for word in result.stdout.split("Give ")[1].split()]
    assert given == [
        f"--config.dataset.directory={directory}",
        "--config.dataset.train_split='train[:80%]",
        "--config.dataset.eval_split='train[80%:]",
    ]
    assert "train: 6 examples" in result.stdout
    assert "Images left out, as they cannot be read: 1." in result.stdout
    assert "cat/2.jpg" in result.stderr

    missing, attributes = tmp_path / "missing.csv", tmp_path / "attributes.csv"
    missing.write_text("path,label\nnowhere.jpg,cat\n")
    attributes.write_text("path,hat\nphotos/cat/0.jpg,1\n")
    for given, sentence in (
        ([], "Give one of these"),
        (["imagenet2012", "--folder", photos], "Give one of these"),
        (["--folder", "nowhere"], " --folder nowhere is not a folder"),
        (["--folder", photos / "cat"], "cat has images, but no folders of classes"),
        (["nosuchset"], "For images of your own use --folder FOLDER."),
        (["--folder", photos, "--manual-dir", photos], "--manual-dir is for a data"),
        (["--table", "nothing.csv"], " --table nothing.csv is not a file"),
        (["--table", missing], "relative to the table's folder."),
        (["--table", attributes], "several labels per image cannot be packed; train"),
    ):
        ended = run(*words, *given)
        assert ended.exit_code == 1 and sentence in ended.stderr, given


@pytest.mark.slow
def test_tensorflow_is_not_needed(tmp_path):
    write_photos(tmp_path / "photos")
    code = f"""
import importlib.machinery, sys
find_spec = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = lambda name, *others: (
    None if name == "tensorflow" else find_spec(name, *others)
)
import pathlib
from mobilenets.data import packing
from mobilenets.config.schema import PreparedDataset
from mobilenets.data.sources.opening import open_source
sources = packing.open_folder({str(tmp_path / "photos")!r})
packed = packing.pack(sources, pathlib.Path({str(tmp_path / "tfds/photos/1.0.0")!r}))
dataset = PreparedDataset(directory=str(packed.directory))
print(len(open_source(dataset, "train")), "tensorflow" in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.stdout.splitlines()[-1:] == ["7 False"], result.stderr
