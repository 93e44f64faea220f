"""Files by strangers: read rightly or refused in a sentence, whatever is in them."""

import json
import os
import zipfile

import h5py
import numpy as np
import pytest

from mobilenets import UserError, get_spec
from mobilenets.config import files
from mobilenets.config.schema import Preprocessing
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.networks.architectures.deeplab import get_segmenter
from mobilenets.networks.architectures.resnet import se_resnet_of_basic
from mobilenets.networks.own_spec import own_spec
from mobilenets.pretrained.formats import read_state
from mobilenets.runs.workdir import Workdir, read_config
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


@pytest.fixture(scope="module")
def description():
    """A sound network.json, as JSON values."""
    sound = Description(
        network=get_spec("se_resnet50", resolution=64),
        preprocessing=Preprocessing(),
        class_names=("cat", "dog"),
    )
    return sound.model_dump(mode="json")


def changed(values, key, value):
    """A copy of JSON values with another value at a dotted key."""
    values = json.loads(json.dumps(values))
    *path, last = key.split(".")
    inner = values
    for part in path:
        inner = inner[int(part) if part.isdigit() else part]
    inner[last] = value
    return values


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network.backbone.resolution", 0),
        ("network.backbone.resolution", 10**12),
        ("network.backbone.resolution", NAN),
        ("network.backbone.stem_channels", -64),
        ("network.backbone.stem_channels", 10**12),
        ("network.backbone.stem_channels", 32),  # the blocks take 64
        ("network.backbone.stem_kernel_size", 4),
        ("network.backbone.stem_kernel_size", 10**6 + 1),
        ("network.backbone.stem_stride", 0),
        ("network.backbone.head_conv_channels", -1),
        ("network.backbone.bn_epsilon", 0.0),
        ("network.backbone.bn_epsilon", NAN),
        ("network.backbone.bn_epsilon", INFINITE),
        ("network.backbone.bn_momentum", 1.5),
        ("network.backbone.bn_momentum", NAN),
        ("network.backbone.name", "a" * 10**6),
        ("network.backbone.act", "tanh"),
        ("network.backbone.blocks", []),
        ("network.backbone.blocks", {}),
        ("network.backbone.blocks.3.stride", 0),
        ("network.backbone.blocks.3.stride", -2),
        ("network.backbone.blocks.3.inner_channels", 0),
        ("network.backbone.blocks.3.inner_channels", 10**12),
        ("network.backbone.blocks.3.out_channels", 7),
        ("network.backbone.blocks.3.dilation", 0),
        ("network.backbone.blocks.3.se.channels", -1),
        ("network.backbone.blocks.3.projection", False),
        ("network.dropout_rate", NAN),
        ("network.dropout_rate", 1.0),
        ("network.head_dense_channels", 10**12),
        ("network.kind", "detector of everything"),
        ("network", None),
        ("preprocessing.std", [0.0, 1.0, 1.0]),
        ("preprocessing.std", [NAN, 1.0, 1.0]),
        ("preprocessing.mean", [INFINITE, 1.0, 1.0]),
        ("preprocessing.crop_fraction", NAN),
        ("class_names", []),
        ("class_names", [1, 2]),
        ("threshold", NAN),
        ("format_version", 10**12),
    ],
)
def test_an_impossible_description_is_refused(tmp_path, description, key, value):
    (tmp_path / "network.json").write_text(json.dumps(changed(description, key, value)))
    with pytest.raises(UserError, match=r"The weights in .* cannot be read: ") as error:
        trained.load(str(tmp_path))
    assert "\n" not in str(error.value) and len(str(error.value)) < 2100


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network.head.kind", "lraspp"),  # of the other head's fields
        ("network.head.filters", 0),
        ("network.head.filters", 10**12),
        ("network.head.rates", [6, 0]),
        ("network.head.rates", [6, NAN]),
        ("network.head.rates", [10**12]),
        ("network.head.rates", [1] * 10**5),
        ("network.head.dropout_rate", 1.0),
        ("network.auxiliary.channels", -1),
        ("network.auxiliary.feature", "block99"),
        ("network.auxiliary.feature", "a" * 10**6),
        ("network.resizing", "nearest"),
        ("network.bn_epsilon", 0.0),
        ("network.backbone.blocks.3.dilation", 0),
    ],
)
def test_an_impossible_segmenter_is_refused(tmp_path, key, value):
    sound = Description(
        task="segmentation",
        network=get_segmenter("deeplabv3_mobilenet_v3_large_torchvision"),
        preprocessing=Preprocessing(),
        class_names=("cat", "dog"),
    ).model_dump(mode="json")
    (tmp_path / "network.json").write_text(json.dumps(sound))
    assert trained.describe(str(tmp_path)).network.head.rates == (12, 24, 36)
    (tmp_path / "network.json").write_text(json.dumps(changed(sound, key, value)))
    with pytest.raises(UserError, match=r"The weights in .* cannot be read: ") as error:
        trained.load(str(tmp_path))
    assert "\n" not in str(error.value) and len(str(error.value)) < 2100


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network.head.pooling_stride", [0, 1]),
        ("network.head.pooling_stride", [10**12, 1]),
        ("network.head.low_level", "block6/middle"),
        ("network.head.low_level", "a" * 10**6),
        ("network.head.gate", "relu"),
    ],
)
def test_an_impossible_lr_aspp_is_refused(tmp_path, key, value):
    sound = Description(
        task="segmentation",
        network=get_segmenter("lraspp_mobilenet_v3_small"),
        preprocessing=Preprocessing(),
        class_names=("cat", "dog"),
    )
    values = changed(sound.model_dump(mode="json"), key, value)
    (tmp_path / "network.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"The weights in .* cannot be read: ") as error:
        trained.load(str(tmp_path))
    assert "\n" not in str(error.value) and len(str(error.value)) < 2100


def test_a_network_of_more_blocks_than_can_be_built_is_refused(tmp_path, description):
    blocks = description["network"]["backbone"]["blocks"]
    many = [*blocks[:2], *[blocks[1]] * 1000, *blocks[2:]]
    values = changed(description, "network.backbone.blocks", many)
    (tmp_path / "network.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="blocks must be at most 1,000, but has 1,016"):
        trained.describe(str(tmp_path))


def test_each_kind_of_block_is_the_same_in_a_file(tmp_path):
    for spec in (se_resnet_of_basic(18), get_spec("se_resnet50"), get_spec("moga_a")):
        sound = Description(
            network=spec, preprocessing=Preprocessing(), class_names=("cat", "dog")
        )
        (tmp_path / "network.json").write_text(sound.model_dump_json())
        assert trained.describe(str(tmp_path)) == sound


def test_a_backbone_has_no_classes(tmp_path, description):
    values = changed(description, "network", description["network"]["backbone"])
    (tmp_path / "network.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="a backbone has 2 class names"):
        trained.describe(str(tmp_path))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b"[" * 10**6, b"9" * 5000]
)
def test_what_is_no_description_is_refused(tmp_path, content):
    (tmp_path / "network.json").write_bytes(content)
    with pytest.raises(UserError, match=r"The weights in .* cannot be read: "):
        trained.load(str(tmp_path))
    with pytest.raises(UserError, match="is not"):
        own_spec(str(tmp_path / "network.json"))


def a_pipe(path):
    os.mkfifo(path)


def a_device(path):
    path.symlink_to("/dev/zero")


def test_a_folder_cannot_name_code_as_its_network(tmp_path, run):
    code = tmp_path / "net.py"
    code.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef net(): ...\n")
    config = files.configuration("configs/quickstart.py", {})
    values = config.model_dump(mode="json") | {"model": {"spec": f"{code}:net"}}
    (tmp_path / "config.json").write_text(json.dumps(values))
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match=r"config\.json cannot be read"):
        read_config(Workdir(tmp_path))
    for words in (
        ("eval", "--workdir", tmp_path),
        ("predict", tmp_path, "--weights", tmp_path),
        ("features", tmp_path, "--weights", tmp_path, "--output", tmp_path / "a.npz"),
        ("compare", tmp_path, tmp_path, "--output", tmp_path / "compared"),
    ):
        assert run(*words).exit_code == 1, words
        assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
@pytest.mark.parametrize("make", [a_pipe, a_device])
def test_a_file_that_never_ends_is_refused_at_once(tmp_path, make):
    make(tmp_path / "network.json")
    with pytest.raises(UserError, match="is not a regular file"):
        trained.load(str(tmp_path))
    with pytest.raises(UserError, match="is not a regular file"):
        own_spec(str(tmp_path / "network.json"))
    make(tmp_path / "weights.pth")
    with pytest.raises(UserError, match="There is no file"):
        read_state(tmp_path / "weights.pth")


def test_a_file_that_is_too_large_for_its_kind_is_refused(tmp_path):
    with open(tmp_path / "network.json", "wb") as file:
        file.truncate(2**40)  # holes, which take no room
    with pytest.raises(UserError, match=r"network\.json has more than 64 MB"):
        trained.load(str(tmp_path))


def test_groups_nested_deeply_are_refused_at_once(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file
        for _ in range(2000):
            group = group.create_group("a")
        group["vars/0"] = np.zeros(3)
    with pytest.raises(UserError, match="nested too deeply"):
        read_state(tmp_path / "x.h5")


def test_a_chunk_is_no_larger_than_what_a_file_can_hold(tmp_path):
    """To read three numbers of a chunk, all of it is unpacked: 128 MB, from 130 kB."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset(
            "vars/0", (2**24,), "f8", maxshape=(None,), chunks=(2**24,), compression=9
        )
        dataset[0] = 1.0
        dataset.resize((3,))
    assert (tmp_path / "x.h5").stat().st_size < 2**20
    with pytest.raises(UserError, match=r"unpacks to 134,217,728 bytes"):
        read_state(tmp_path / "x.h5")


def test_links_in_a_circle_are_followed_once(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.arange(3.0)
        file["layers/circle"] = file["layers"]
        file["layers/elsewhere"] = h5py.ExternalLink("/etc/passwd", "a")
        file["layers/lost"] = h5py.SoftLink("/nothing")
    ((key, array),) = read_state(tmp_path / "x.h5").items()
    assert (key, array.tolist()) == ("layers/conv2d/vars/0", [0.0, 1.0, 2.0])


@pytest.mark.parametrize("key", ["a" * 10**6, "a b " * 10**6, "\x1b[31m" * 100])
def test_a_message_does_not_repeat_a_file(tmp_path, key):
    path = archive(tmp_path / "x.pth", {key: 3}, {})
    with pytest.raises(UserError, match="instead of a tensor") as error:
        read_state(path)
    message = str(error.value)
    assert len(message) < 5000 and "\x1b" not in message
    assert message.startswith(str(path))
