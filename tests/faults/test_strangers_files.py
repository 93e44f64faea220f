"""Files by strangers: read rightly or refused in a sentence, whatever is in them."""

import zipfile

import pytest

from mobilenets import UserError
from mobilenets.pretrained.formats import read_state
from tests.torch_files import (
    Call,
    Global,
    WithState,
    archive,
    floats,
    legacy,
)

WRITERS = pytest.mark.parametrize("write", [archive, legacy])


@WRITERS
@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (400,)},
        {"strides": (100,)},
        {"offset": 100},
        {"offset": -100},
        {"storage": None},
    ],
)
@pytest.mark.parametrize("form", ["attributes", "slots"])
def test_a_pickle_cannot_make_a_tensor_larger_than_its_storage(
    tmp_path, write, changes, form
):
    """BUILD sets attributes of an object after it was made and checked."""
    vector, storages = floats(1.0, 2.0, 3.0, 4.0)
    state = changes if form == "attributes" else (None, changes)
    path = write(tmp_path / "x.pth", {"a": WithState(vector, state)}, storages)
    try:
        assert read_state(path)["a"].tolist() == [1.0, 2.0, 3.0, 4.0]
    except UserError as error:
        assert "damaged" in str(error)


@WRITERS
@pytest.mark.parametrize("changes", [{"size": 400}, {"kind": "DoubleStorage"}])
def test_a_pickle_cannot_make_a_storage_larger_than_it_is(tmp_path, write, changes):
    vector, storages = floats(1.0, 2.0, 3.0, 4.0)
    storage, *others = vector.arguments
    tree = {"a": Call(vector.function, (WithState(storage, changes), *others))}
    with pytest.raises(UserError, match="damaged"):
        read_state(write(tmp_path / "x.pth", tree, storages))


def test_a_pickle_cannot_make_one_allowed_function_of_another(tmp_path):
    """`functools.partial` can be told by BUILD to call something else."""
    vector, storages = floats(1.0)
    function = Global("torch._utils", "_rebuild_parameter")
    state = (Global("collections", "OrderedDict"), ((),), {}, None)
    tree = {"a": vector, "b": WithState(function, state)}
    with pytest.raises(UserError, match="damaged"):
        read_state(archive(tmp_path / "x.pth", tree, storages))


def test_sizes_of_sizes_are_refused_at_once(tmp_path):
    """Each of twice the last: the hash of one, as a key, would have no end."""
    size_of_twice = b"h\x01](h\x00h\x00e\x85Rq\x000"
    program = b"\x80\x02}ctorch\nSize\nq\x010)q\x000" + 60 * size_of_twice
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as file:
        file.writestr("archive/data.pkl", program + b"h\x00K\x01s.")
    with pytest.raises(UserError, match="no integers"):
        read_state(tmp_path / "x.pth")
