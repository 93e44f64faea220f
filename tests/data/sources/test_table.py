"""Tables of images: what they say, and every mistake that they may have."""

import codecs
import sys

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from mobilenets import UserError
from mobilenets.config.schema import TableDataset
from mobilenets.data.sources.opening import open_source


@pytest.fixture
def folder(tmp_path):
    """Images that are never decoded: each file holds its own name."""
    (tmp_path / "pets").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg", "pets/d.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def write(folder, text, name="t.csv"):
    content = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(content)
    return folder / name


def opened(table, split="all", labels="class", to_train=False, **options):
    dataset = TableDataset(table=str(table), **options)
    in_use = ("fit", "test")
    return open_source(dataset, split, labels, to_train, in_use=in_use)


def files(source):
    return [source[i].image.decode() for i in range(len(source))]


def targets(source):
    return [source[i].target for i in range(len(source))]


CLASSES = "path,label\nb.jpg,dog\na.jpg,cat\npets/d.jpg,dog\n"


def test_a_table_has_the_class_of_each_image_in_its_order(folder):
    source = opened(write(folder, CLASSES))
    assert source.names == ("cat", "dog")
    assert files(source) == ["b.jpg", "a.jpg", "pets/d.jpg"]
    assert targets(source) == [1, 0, 1]
    assert isinstance(source[0].target, int)
    assert source[2].origin == str(folder / "pets/d.jpg")


def test_a_table_as_spreadsheets_write_it(folder):
    """A mark of the byte order, CRLF, quotes with commas and line breaks, blanks."""
    text = 'note,label,path\r\n"a, ""b""\r\nc","cat, big", a.jpg \r\n\r\n,dog,b.jpg\r\n'
    source = opened(write(folder, codecs.BOM_UTF8 + text.encode()))
    assert source.names == ("cat, big", "dog")
    assert files(source) == ["a.jpg", "b.jpg"]


def test_paths_may_be_relative_to_another_folder_or_absolute(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("tables")
    table = write(elsewhere, f"path,label\nd.jpg,x\n{folder / 'a.jpg'},y\n")
    source = opened(table, images=str(folder / "pets"))
    assert files(source) == ["pets/d.jpg", "a.jpg"]


ATTRIBUTES = "path,smiles,old\na.jpg,1,0\nb.jpg,,1.0\nc.jpg,0.0,\n"


def assert_attributes(source):
    assert source.names == ("smiles", "old")
    expected = [[1, 0], [np.nan, 1], [0, np.nan]]
    np.testing.assert_array_equal(targets(source), expected)
    assert source[0].target.dtype == np.float32


def test_constant_attributes_and_those_without_a_positive_are_told(folder, capsys):
    rows = ["a.jpg,1,0,", "b.jpg,1,1,0", "c.jpg,,0,0"]
    table = write(folder, "\n".join(["path,old,smiles,bald", *rows]))
    opened(table, "all", "attributes", to_train=True)
    told = capsys.readouterr().out
    assert "has the same value of old, bald in all images: it cannot be learn" in told
    opened(table, "all", "attributes")
    told = capsys.readouterr().out
    assert "has no image with bald: left out of the mean average precision." in told
    assert "old" not in told and "smiles" not in told


def test_columns_are_attributes_and_empty_is_unknown(folder):
    assert_attributes(opened(write(folder, ATTRIBUTES), labels="attributes"))


def test_a_column_of_several_labels(folder):
    table = write(folder, "path,labels\na.jpg,red; big\nb.jpg,\nc.jpg,red;\n")
    source = opened(table, labels="attributes")
    assert source.names == ("big", "red")
    np.testing.assert_array_equal(targets(source), [[1, 1], [0, 0], [0, 1]])
    bars = write(folder, "path,labels\na.jpg,x;1|y\n")
    source = opened(bars, labels="attributes", separator="|")
    assert source.names == ("x;1", "y")


SPLITS = "path,label,split\na.jpg,cat,fit\nb.jpg,dog,test\nc.jpg,ant,fit\n"


def test_a_column_divides_the_table_and_splits_share_the_names(folder):
    table = write(folder, SPLITS)
    fit, test = opened(table, "fit"), opened(table, "test")
    assert fit.names == test.names == ("ant", "cat", "dog")
    assert (files(fit), files(test)) == (["a.jpg", "c.jpg"], ["b.jpg"])
    assert (targets(fit), targets(test)) == ([1, 0], [2])


def test_what_cannot_be_evaluated_is_told(folder, capsys):
    table = write(folder, SPLITS)
    opened(table, "test")
    told = capsys.readouterr().out
    assert told == f"{table}, split test, has no images of ant, cat.\n"
    text = "path,smiles,old,split\na.jpg,1,0,fit\nb.jpg,,1,test\n"
    opened(write(folder, text), "test", labels="attributes")
    assert "has no known value for smiles: none" in capsys.readouterr().out


def many(folder, order):
    lines = []
    for i in order:
        (folder / f"{i}.jpg").write_bytes(f"{i}.jpg".encode())
        lines.append(f"{i}.jpg,{'cat' if i % 2 else 'dog'}\n")
    return write(folder, "path,label\n" + "".join(lines))


def test_a_fraction_divides_the_table_whatever_the_order_and_the_others(folder):
    table = many(folder, range(300))
    train, validation = (
        {*files(opened(table, split, eval_fraction=0.2))}
        for split in ("train", "validation")
    )
    assert not train & validation
    assert len(train) + len(validation) == 300
    assert 30 < len(validation) < 95
    table = many(folder, reversed(range(400)))
    later = {*files(opened(table, "validation", eval_fraction=0.2))}
    assert {f for f in later if int(f.split(".")[0]) < 300} == validation


def test_parquet_holds_the_same(folder):
    table = pyarrow.table(
        {
            "path": ["a.jpg", "b.jpg", "c.jpg"],
            "smiles": pyarrow.array([1.0, None, 0.0]),
            "old": pyarrow.array([False, True, None]),
        }
    )
    pyarrow.parquet.write_table(table, folder / "t.parquet")
    assert_attributes(opened(folder / "t.parquet", labels="attributes"))


def test_parquet_may_hold_lists_of_labels(folder):
    table = pyarrow.table({"path": ["a.jpg", "b.jpg"], "labels": [["x;1", "y"], []]})
    pyarrow.parquet.write_table(table, folder / "t.parquet")
    source = opened(folder / "t.parquet", labels="attributes")
    assert source.names == ("x;1", "y")
    np.testing.assert_array_equal(targets(source), [[1, 1], [0, 0]])


def test_parquet_without_its_library_is_told(folder, monkeypatch):
    write(folder, "", "t.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'mobilenets\[parquet\]'"):
        opened(folder / "t.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.csv lists no images"),
        ("path,label\n", r"t\.csv lists no images: it has no rows below a header"),
        ("paths,label\na.jpg,x\n", r"no column path \(is it paths\?\): its columns"),
        (
            "path,lable\na.jpg,x\n",
            r"no column label \(is it lable\?\): .*=multilabel\.",
        ),
        ("path,path\na.jpg,x\n", r"has two columns path\."),
        ("path,label\na.jpg\n", "line 2: there are 1 values for the 2 columns"),
        ("path,label\na.jpg,x\n\nb.jpg,x,y\n", "line 4: there are 3 values"),
        ("path,label\na.jpg,x\n,x\n", "line 3: path is empty"),
        ("path,label\na.jpg,x\nb.jpg, \n", "line 3: label is empty"),
        ("path,label\na.jpg,x\nn.jpg,x\n", r"line 3: there is no file .*/n\.jpg\. Pat"),
        (
            'path,label\n"a.jpg",x\nb.jpg,"a\nb"\n./a.jpg,y\n',
            r"line 5: the path \./a\.jpg is also in line 2",
        ),
        ('path,label\na.jpg,x\nb.jpg,"x\n', "line 3: unexpected end of data"),
        (b"path,label\na.jpg,\xe9\n", "is not encoded in UTF-8: save it as"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(folder, text, message):
    with pytest.raises(UserError, match=message) as caught:
        opened(write(folder, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,old\na.jpg,1\nb.jpg,-1\n",
            "line 3: old is '-1', but must be 1, 0 or em",
        ),
        ("path,old\na.jpg,yes\n", "line 2: old is 'yes', but must be"),
        (
            "path,label\na.jpg,x\n",
            "must have a column for each attribute, .* path, lab",
        ),
        (
            "path,old,\na.jpg,1,0\n",
            "must have a column for each attribute, with a name",
        ),
        ("path,labels\na.jpg,;\n", "has no name in its column labels"),
    ],
)
def test_a_mistake_of_attributes_is_told(folder, text, message):
    with pytest.raises(UserError, match=message):
        opened(write(folder, text), labels="attributes")


@pytest.mark.parametrize(
    ("text", "split", "options", "message"),
    [
        (SPLITS, "tests", {}, r"Unknown split .*did you mean 'test'\?.*: fit, test"),
        (SPLITS, "fit", {"eval_fraction": 0.1}, "has a column split: leave dataset.ev"),
        ("path,label,split\na.jpg,x,\n", "fit", {}, "line 2: split is empty"),
        (CLASSES, "train", {}, "Choose from: all. It has no column split: add one"),
        (CLASSES, "test", {"eval_fraction": 0.5}, "Choose from: train, validation"),
        (CLASSES, "validation", {"eval_fraction": 1e-9}, "without any of the 3 images"),
    ],
)
def test_a_split_that_is_not_there_is_told(folder, text, split, options, message):
    with pytest.raises(UserError, match=message):
        opened(write(folder, text), split, **options)


def test_a_table_that_is_none_is_told(folder):
    with pytest.raises(UserError, match=r"dataset\.table .*no\.csv is not a file"):
        opened(folder / "no.csv")
    with pytest.raises(UserError, match=r"must be a \.csv or \.parquet file"):
        opened(folder / "a.jpg")
    with pytest.raises(UserError, match=r"t\.parquet cannot be read: "):
        opened(write(folder, "no parquet", "t.parquet"))


def test_what_cannot_be_learned_is_refused_to_train(folder):
    table = write(folder, SPLITS)
    with pytest.raises(UserError, match="split fit, has no images of dog"):
        opened(table, "fit", to_train=True)
    table = write(folder, "path,label\na.jpg,x\n")
    with pytest.raises(UserError, match="split all, has only the class x"):
        opened(table, to_train=True)
    table = write(folder, "path,old,new\na.jpg,,1\nb.jpg,,\n")
    assert len(opened(table, labels="attributes")) == 2
    with pytest.raises(UserError, match="has no known value for old: fill in"):
        opened(table, labels="attributes", to_train=True)
