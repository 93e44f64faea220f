"""A data set in TFRecord files gets ArrayRecord files with the same examples."""

import json
import pathlib

import pytest
import tensorflow_datasets as tfds
from etils import epath

from mobilenets import UserError
from mobilenets.config.schema import PreparedDataset
from mobilenets.data import converting, packing, shards
from mobilenets.data.prepare import prepare
from mobilenets.data.sources.opening import open_source

pytestmark = pytest.mark.slow  # TensorFlow alone takes seconds to import

LENGTHS = {"train": [3, 2], "test": [2]}


def image_of(split, shard, number):
    return f"{split} {shard} {number}".encode()


@pytest.fixture
def directory(tmp_path):
    """A data set that TFDS has prepared as TFRecord files, its default."""
    import tensorflow as tf

    path = tmp_path / "letters/1.0.0"
    path.mkdir(parents=True)
    serializer = tfds.core.example_serializer.ExampleSerializer(
        packing._features(("a", "b")).get_serialized_info()
    )
    whole = tfds.core.ShardedFileTemplate(
        dataset_name="letters", filetype_suffix="tfrecord", data_dir=epath.Path(path)
    )
    infos = []
    for split, lengths in LENGTHS.items():
        template = whole.replace(split=split)
        files = template.sharded_filepaths(num_shards=len(lengths))
        for shard, (file, length) in enumerate(zip(files, lengths, strict=True)):
            with tf.io.TFRecordWriter(str(file)) as writer:
                for i in range(length):
                    image = image_of(split, shard, i)
                    example = {"image": image, "label": i % 2, "file_name": b"x"}
                    writer.write(serializer.serialize_example(example))
        infos.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=lengths,
                num_bytes=1,
                filename_template=template,
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=path,
        features=packing._features(("a", "b")),
        split_infos=infos,
        filename_template=whole,
        check_data=False,
    )
    return path


def check(directory):
    """Every example is there, in its place."""
    for split, lengths in LENGTHS.items():
        source = open_source(PreparedDataset(directory=str(directory)), split)
        places = [(s, i) for s, length in enumerate(lengths) for i in range(length)]
        images = [source[i].image for i in range(len(source))]
        assert images == [image_of(split, *place) for place in places]
        assert [source[i].target for i in range(len(source))] == [
            number % 2 for _, number in places
        ]


def test_tfrecords_are_converted_where_they_are(directory, capsys):
    with pytest.raises(UserError, match=f"mobilenets prepare {directory}"):
        check(directory)
    prepare(str(directory), "", "")
    check(directory)
    told = capsys.readouterr().out
    assert "train: 5 examples" in told and "has ArrayRecord files beside" in told
    assert len(list(directory.glob("*.tfrecord-*"))) == 3
    prepare(str(directory), "", "")
    assert "is prepared already" in capsys.readouterr().out


def test_they_are_converted_by_name_as_well(directory):
    prepare("letters", str(directory.parents[1]), "")
    check(directory)


def test_a_conversion_that_was_killed_continues(directory, monkeypatch):
    class Killed(BaseException):
        pass

    calls = []

    def end():
        calls.append(None)
        if len(calls) == 4:  # in the second file
            raise Killed

    with pytest.raises(Killed):
        converting.convert(tfds.builder_from_directory(directory), end)
    with pytest.raises(UserError, match="which has no random access"):
        check(directory)
    written, write = [], shards.write

    def noted(path, examples):
        written.append(path.name)
        return write(path, examples)

    monkeypatch.setattr(shards, "write", noted)
    counted = []
    builder = tfds.builder_from_directory(directory)
    converting.convert(builder, lambda: counted.append(None))
    check(directory)
    assert len(counted) == 7
    assert written == [
        "letters-train.array_record-00001-of-00002",
        "letters-test.array_record-00000-of-00001",
    ]


def test_a_file_that_was_cut_short_is_one_sentence(directory):
    file = directory / "letters-train.tfrecord-00001-of-00002"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"00001-of-00002 cannot be read: .*truncated"):
        prepare(str(directory), "", "")
    with pytest.raises(UserError, match="which has no random access"):
        check(directory)


def test_missing_examples_are_told(directory):
    file = directory / "letters-test.tfrecord-00000-of-00001"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])  # two of the same length
    with pytest.raises(UserError, match="has 1 examples, but should have 2"):
        prepare(str(directory), "", "")


def test_records_that_were_lost_later_are_told(directory):
    prepare(str(directory), "", "")
    file = directory / "letters-train.array_record-00000-of-00002"
    shards.write(pathlib.Path(file), [b"x"])
    with pytest.raises(UserError, match="split train, holds 3 examples, but should h"):
        prepare(str(directory), "", "")


def test_another_format_cannot_be_converted(directory):
    info = directory / "dataset_info.json"
    values = json.loads(info.read_text()) | {"fileFormat": "riegeli"}
    info.write_text(json.dumps(values))
    with pytest.raises(UserError, match="as riegeli, which cannot be converted"):
        prepare(str(directory), "", "")
