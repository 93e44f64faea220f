"""Stanford Dogs and CelebA, as TFDS prepares them from files like the published ones.

What would be downloaded is made here; all else is TFDS's own builder.
"""

import importlib
import io
import tarfile
import zipfile

import numpy as np
import pytest
import scipy.io
import tensorflow_datasets as tfds
from PIL import Image

from configs import celeb_a, stanford_dogs
from mobilenets import UserError
from mobilenets.config import check
from mobilenets.config.schema import NamedDataset
from mobilenets.data.decoding import decode
from mobilenets.data.prepare import prepare
from mobilenets.data.sources.opening import open_source
from mobilenets.tasks.registry import make_task

pytestmark = pytest.mark.slow  # TensorFlow writes the data sets

# Folders and files of the archive, in no order; the last of each breed is to evaluate.
# TFDS wants all 120 breeds.
DOGS = {
    "n02085620-Chihuahua": ("n02085620_10", "n02085620_11", "n02085620_12"),
    **{f"n{i:08}-Breed_{i}": (f"n{i:08}_1", f"n{i:08}_2") for i in range(119)},
}
# Of six faces in a row: the split, by number.
PARTITION = (0, 0, 0, 0, 1, 2)


def jpeg(number, size=(60, 50)):
    """An image of one colour, which tells the number."""
    buffer = io.BytesIO()
    color = (40 * (number % 6), 11 * (number // 6), 200)
    Image.new("RGB", size, color).save(buffer, format="JPEG")
    return buffer.getvalue()


def number_of(record):
    red, green, _ = np.asarray(decode(record.image, record.origin))[25, 25]
    return round(red / 40) + 6 * round(green / 11)


def builder_of(name):
    return importlib.import_module(
        f"tensorflow_datasets.datasets.{name}.{name}_dataset_builder"
    )


def serve(monkeypatch, files):
    """Has TFDS find files by their URLs."""

    def found(_, urls):
        if isinstance(urls, dict):
            return {key: str(files[url]) for key, url in urls.items()}
        if isinstance(urls, list):
            return [str(files[url]) for url in urls]
        return str(files[urls])

    for method in ("download", "download_and_extract"):
        monkeypatch.setattr(tfds.download.DownloadManager, method, found)


def write_dogs(folder):
    """The three files of the authors' page; the two smaller ones extracted."""
    module = builder_of("stanford_dogs")
    lists, annotations = folder / "lists", folder / "annotation"
    lists.mkdir()
    paths = {"train": [], "test": []}
    with tarfile.open(folder / "images.tar", "w") as tar:
        for number, (breed, names) in enumerate(DOGS.items()):
            (annotations / "Annotation" / breed).mkdir(parents=True)
            for name in names:
                content = jpeg(number)
                info = tarfile.TarInfo(f"Images/{breed}/{name}.jpg")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
                split = "test" if name == names[-1] else "train"
                paths[split].append(f"{breed}/{name}.jpg")
                (annotations / "Annotation" / breed / name).write_text(
                    "<annotation><size><width>60</width><height>50</height></size>"
                    "<object><bndbox><xmin>6</xmin><ymin>5</ymin><xmax>30</xmax>"
                    "<ymax>25</ymax></bndbox></object></annotation>"
                )
    for split, found in paths.items():
        listed = {"file_list": np.array(found, object)[:, None]}
        scipy.io.savemat(lists / f"{split}_list.mat", listed)
    return {
        module._IMAGES_URL: folder / "images.tar",
        module._SPLIT_URL: lists,
        module._ANNOTATIONS_URL: annotations,
    }


def write_faces(folder):
    """The five files of the authors' drive, for six faces."""
    module = builder_of("celeb_a")
    names = [f"{number:06}.jpg" for number in range(1, len(PARTITION) + 1)]
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(f"img_align_celeba/{name}", jpeg(number, (178, 218)))

    def write(name, headings, row):
        lines = [f"{file} {row(i)}" for i, file in enumerate(names)]
        top = [str(len(names)), " ".join(headings)] if headings else []
        (folder / name).write_text("\n".join([*top, *lines]) + "\n")
        return folder / name

    def attributes(face):
        """The first attribute for all, the second for every second, no other."""
        values = [1, 1 if face % 2 else -1, *[-1] * 38]
        return " ".join(map(str, values))

    return {
        module.IMG_ALIGNED_DATA: folder / "img_align_celeba.zip",
        module.EVAL_LIST: write("partition.txt", (), lambda i: PARTITION[i]),
        module.ATTR_DATA: write("attributes.txt", module.ATTR_HEADINGS, attributes),
        module.LANDMARKS_DATA: write(
            "landmarks.txt", module.LANDMARK_HEADINGS, lambda i: " ".join("1" * 10)
        ),
        module.IDENTITY_DATA: write("identity.txt", (), lambda i: i),
    }


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Where both are prepared."""
    path = tmp_path_factory.mktemp("tfds")
    with pytest.MonkeyPatch.context() as patch:
        for name, write in (("stanford_dogs", write_dogs), ("celeb_a", write_faces)):
            serve(patch, write(tmp_path_factory.mktemp(name)))
            prepare(name, str(path), "")
    return str(path)


def test_the_breeds_are_those_of_the_folders(data_dir):
    dataset = NamedDataset(name="stanford_dogs", data_dir=data_dir)
    source = open_source(dataset, "train")
    assert source.names == tuple(sorted(breed.lower() for breed in DOGS))
    assert (len(source), len(open_source(dataset, "test"))) == (121, 120)
    breeds = [breed.lower() for breed in DOGS]
    for i in range(len(source)):
        assert source.names[source[i].target] == breeds[number_of(source[i])]


def test_the_config_of_the_dogs_opens_them(data_dir):
    config = stanford_dogs.get_config("width=0.25,resolution=32")
    config.dataset.update(data_dir=data_dir, num_workers=0)
    config.batch_size = 4
    task = make_task(check.check(config))
    assert (task.train_size, dict(task.eval_sizes)) == (121, {"val": 120})
    assert next(task.train_batches())["image"].shape == (4, 32, 32, 3)


def test_the_attributes_of_the_faces_are_booleans_by_name(data_dir):
    dataset = NamedDataset(name="celeb_a", data_dir=data_dir)
    source = open_source(dataset, "train", "attributes")
    assert set(source.names) == set(builder_of("celeb_a").ATTR_HEADINGS)
    assert len(source) == 4
    first, second, other = map(
        source.names.index, ("5_o_Clock_Shadow", "Arched_Eyebrows", "Young")
    )
    for i in range(len(source)):
        target = source[i].target
        assert target.dtype == np.float32 and target.shape == (40,)
        odd = number_of(source[i]) % 2
        assert (target[first], target[second], target[other]) == (1, odd, 0)


def test_the_config_of_the_faces_opens_them(data_dir):
    config = celeb_a.get_config("width=0.25,resolution=32")
    config.dataset.update(data_dir=data_dir, num_workers=0)
    config.batch_size = 4
    task = make_task(check.check(config))
    assert dict(task.eval_sizes) == {"val": 1}
    batch = next(task.train_batches())
    assert batch["image"].shape == (4, 32, 32, 3)
    assert batch["label"].sum() == 4 + 2


def test_dogs_have_no_attributes_and_faces_no_class(data_dir):
    dogs = NamedDataset(name="stanford_dogs", data_dir=data_dir)
    with pytest.raises(UserError, match="stanford_dogs has no attributes: it needs"):
        open_source(dogs, "train", "attributes")
    faces = NamedDataset(name="celeb_a", data_dir=data_dir)
    with pytest.raises(UserError, match=r"celeb_a is not for classification.*multilab"):
        open_source(faces, "train", "class")
