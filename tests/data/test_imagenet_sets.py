"""ImageNet's evaluation sets, prepared by the builders of TFDS from files made by hand.

The builders of ImageNet-V2, A, R, Sketch and of ReaL's labels download an archive each.
They take it from the manual folder if it has the right SHA-256: here that of the file
made by hand stands in its place, nothing else of a builder is changed.
"""

import hashlib
import io
import json
import tarfile
import zipfile

import flax.linen as nn
import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds
from jax.sharding import AxisType
from tensorflow_datasets.core.download.checksums import UrlInfo

from mobilenets import UserError
from mobilenets.data import imagenet
from mobilenets.data.prepare import prepare
from mobilenets.data.sources.opening import open_source
from mobilenets.evaluation.evaluator import Evaluator
from mobilenets.inference import trained
from mobilenets.tasks.registry import make_task
from tests.data.test_imagenet import (
    VALIDATION_LABELS,
    config,
    picture,
    write_imagenet,
    write_tar,
)
from tests.inference.test_trained import small_net

IDS = list(imagenet.class_names())
# As published, of the first five validation images. The first one has none.
REAL_LABELS = [[], [970, 795], [230, 231], [809], [516, 850]]
# Classes of the images of each set that are made here, by their numbers.
CLASSES = {
    "v2": [0, 1, 10, 999],
    "a": [6, 11, 988],
    "r": [1, 2, 988, 988],
    "sketch": [0, 7, 999],
}
ARCHIVES = {
    "v2": "imagenetv2-matched-frequency.tar.gz",
    "a": "imagenet-a.tar",
    "r": "imagenet-r.tar",
    "sketch": "ImageNet-Sketch.zip",
    "real": "real.json",
}


def members(name):
    """The files in the archive of a set, by their paths."""
    folder = {
        "v2": lambda number: f"imagenetv2-matched-frequency-format-val/{number}",
        "a": lambda number: f"imagenet-a/{IDS[number]}",
        "r": lambda number: f"imagenet-r/{IDS[number]}",
        "sketch": lambda number: f"sketch/{IDS[number]}",
    }[name]
    ending = "JPEG" if name == "sketch" else "jpg"
    return {
        f"{folder(number)}/{name}_{i}.{ending}": picture(i)
        for i, number in enumerate(CLASSES[name])
    }


def write_archives(folder):
    """What the authors of the sets have published, small."""
    for name in ("a", "r"):
        root = f"imagenet-{name}"
        write_tar(folder / ARCHIVES[name], {f"{root}/README.txt": b""} | members(name))
    buffer = io.BytesIO()
    write_tar(buffer, members("v2"))
    with tarfile.open(folder / ARCHIVES["v2"], "w:gz") as packed:
        with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
            for info in tar:
                packed.addfile(info, tar.extractfile(info))
    with zipfile.ZipFile(folder / ARCHIVES["sketch"], "w") as file:
        for path, content in members("sketch").items():
            file.writestr(path, content)
    (folder / ARCHIVES["real"]).write_text(json.dumps(REAL_LABELS))


def expect_archive(patch, builder_name, path):
    """Makes the SHA-256 of the file at the path the one that the builder expects."""
    url_infos = tfds.builder_cls(builder_name).url_infos
    (url,) = [url for url, info in url_infos.items() if info.filename == path.name]
    content = path.read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    patch.setitem(url_infos, url, UrlInfo(len(content), checksum, path.name))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Where all six data sets are prepared."""
    path, archives = tmp_path_factory.mktemp("tfds"), tmp_path_factory.mktemp("files")
    write_imagenet(archives)
    write_archives(archives)
    prepare("imagenet2012", str(path), str(archives))
    with pytest.MonkeyPatch.context() as patch:
        for name, (data_set, _) in imagenet.EVALUATION_SETS.items():
            builder_name = data_set.partition("/")[0]
            expect_archive(patch, builder_name, archives / ARCHIVES[name])
            prepare(data_set, str(path), str(archives))
    return str(path)


def settings(data_dir):
    """A config that evaluates on all of them."""
    evals = {
        name: {"name": data_set, "split": split, "data_dir": data_dir}
        for name, (data_set, split) in imagenet.EVALUATION_SETS.items()
    }
    return config(data_dir, evals=evals)


class OfMeans(nn.Module):
    """The logits are a linear function of the mean colour."""

    @nn.compact
    def __call__(self, images, train=False):
        return images.mean((1, 2)) @ kernel(), {}


def kernel():
    return np.random.default_rng(0).normal(0, 4, (3, 1000)).astype(np.float32)


@pytest.mark.slow
def test_every_image_has_its_class(data_dir):
    chosen = settings(data_dir)
    for name, numbers in CLASSES.items():
        source = open_source(chosen.evals[name], chosen.evals[name].split)
        assert list(source.names) == IDS
        records = [source[i] for i in range(len(source))]
        assert sorted(record.target for record in records) == sorted(numbers)


@pytest.mark.slow
def test_real_gives_each_image_all_its_classes(data_dir):
    chosen = settings(data_dir).evals["real"]
    source = open_source(chosen, chosen.split)
    found = sorted(source[i].target for i in range(len(source)))
    assert found == sorted(map(tuple, REAL_LABELS))
    with pytest.raises(UserError, match="which is only for evaluations: give"):
        open_source(chosen, chosen.split, to_train=True)


@pytest.mark.parametrize(
    ("data_set", "digest"), [("a", "1b241a7a5dd97991"), ("r", "becd1bb8e8059908")]
)
def test_the_two_hundred_classes_are_those_of_the_authors(data_set, digest):
    """Digests of the numbers in the authors' eval.py, in their order."""
    numbers = [IDS.index(i) for i in imagenet.candidates(f"imagenet_{data_set}")]
    assert len(numbers) == 200
    text = " ".join(map(str, numbers)).encode()
    assert hashlib.sha256(text).hexdigest()[:16] == digest


def expected(task, name):
    """Top-1 and loss by the rules of the papers, image by image."""
    (batch,) = [b for b in task.eval_batches(name)]
    images = (np.float64(batch["image"]) - 127.5) / 127.5
    logits = (images.mean((1, 2)) @ kernel())[batch["index"] >= 0]
    source = task._evals[name]
    right = [source[i].target for i in range(len(source))]
    if name == "real":
        kept = [i for i, labels in enumerate(right) if labels]
        logits, right = logits[kept], [right[i] for i in kept]
    else:
        right = [[number] for number in right]
    if name in ("a", "r"):  # the authors cut the logits of the others off
        numbers = [IDS.index(i) for i in imagenet.candidates(f"imagenet_{name}")]
        logits = logits[:, numbers]
        right = [[numbers.index(label) for label in labels] for labels in right]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    pairs = zip(probabilities, right, strict=True)
    of_right = [p[list(labels)].sum() for p, labels in pairs]
    guesses = logits.argmax(1)
    hits = [guess in labels for guess, labels in zip(guesses, right, strict=True)]
    return {
        "loss": pytest.approx(-np.log(of_right).mean(), rel=1e-4),
        "top1": np.mean(hits),
        "count": len(right),
    }


@pytest.mark.slow
def test_all_sets_are_evaluated_by_their_rules(data_dir):
    task = make_task(settings(data_dir).model_copy(update={"batch_size": 8}))
    task.model = OfMeans()
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    results = Evaluator(task, mesh).evaluate({"raw": {}})
    assert list(results) == ["val", *imagenet.EVALUATION_SETS]
    for name in results:
        found = {k: results[name]["raw"][k] for k in ("loss", "top1", "count")}
        assert found == expected(task, name), name
    assert results["real"]["raw"]["count"] == 4  # of five, the first has no class


@pytest.mark.slow
def test_another_archive_is_told(tmp_path):
    (tmp_path / ARCHIVES["a"]).write_bytes(b"something else")
    with pytest.raises(
        UserError, match=r"imagenet_a .* another one: .*imagenet-a\.tar"
    ):
        prepare("imagenet_a", str(tmp_path / "tfds"), str(tmp_path))


@pytest.mark.slow
def test_one_command_evaluates_all_sets(data_dir, run, tmp_path):
    trained.save(small_net(classes=tuple(IDS)), str(tmp_path / "weights"))
    given = ["--workdir", tmp_path / "weights", f"--config.dataset.data_dir={data_dir}"]
    given += ["--config.batch_size=8", "--json", tmp_path / "results.json"]
    result = run("eval", *given, "--sets", "all")
    assert result.exit_code == 0, result.stderr
    found = json.loads((tmp_path / "results.json").read_text())["results"]
    counts = {name: int(of["weights"]["count"]) for name, of in found.items()}
    sizes = {name: len(numbers) for name, numbers in CLASSES.items()}
    assert counts == {"val": len(VALIDATION_LABELS), "real": 4, **sizes}
    assert all(0 <= of["weights"]["calibration_error"] <= 1 for of in found.values())
    assert "calibration" in result.stdout and "sketch" in result.stdout

    trained.save(small_net(classes=("cat", "dog")), str(tmp_path / "two"))
    ended = run("eval", "--workdir", tmp_path / "two", "--sets", "v2")
    assert ended.exit_code == 1
    assert "ImageNet's 1,000 classes, but this one has 2: leave" in ended.stderr

    for words, sentence in (
        (["--sets", "v2, b"], "Unknown set 'b'"),
        (["--sets", "v2", "--split", "test"], "--sets and --split both choose"),
        (
            ["--sets", "v2", "--config.dataset.folder=photos"],
            "--sets and --config.dataset.folder both choose",
        ),
    ):
        ended = run("eval", "--workdir", tmp_path / "weights", *words)
        assert ended.exit_code == 1 and sentence in ended.stderr


@pytest.mark.slow
def test_a_set_that_is_not_prepared_is_met_with_the_command(data_dir, run, tmp_path):
    trained.save(small_net(classes=tuple(IDS)), str(tmp_path / "weights"))
    ended = run(
        *("eval", "--workdir", tmp_path / "weights", "--sets", "v2"),
        f"--config.dataset.data_dir={tmp_path}",
    )
    assert ended.exit_code == 1
    assert "mobilenets prepare imagenet2012 --data-dir" in ended.stderr
