"""A spec of the user's own is found by what a config says of it."""

import dataclasses
import json

import pytest

from mobilenets import UserError, get_spec
from mobilenets.networks.own_spec import named_or_own, of_model, own_spec, resolved
from mobilenets.networks.spec import with_backbone

FILE = """
from mobilenets import get_spec

def tiny():
    return get_spec("mobilenet_v2", width_multiplier=0.1)

def backbone():
    return tiny().backbone

def number():
    return 3

def fails():
    return 1 / 0

value = 3
"""
TINY = get_spec("mobilenet_v2", width_multiplier=0.1)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_networks.py").write_text(FILE)
    (tmp_path / "tiny.json").write_text(json.dumps(dataclasses.asdict(TINY)))
    typo = dataclasses.asdict(TINY)
    typo["backbone"]["blocks"][0]["residul"] = True
    (tmp_path / "typo.json").write_text(json.dumps(typo))
    (tmp_path / "wrong.json").write_text('{"name": "x"}')
    (tmp_path / "broken.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    "text", ["own_networks.py:tiny", "own_networks:tiny", "tiny.json"]
)
def test_a_spec_is_found(text):
    assert own_spec(text) == TINY
    replaced = of_model({"spec": text, "resolution": 96, "bn_momentum": 0.9})
    assert (replaced.resolution, replaced.backbone.bn_momentum) == (96, 0.9)
    assert replaced.backbone.blocks == TINY.backbone.blocks


def test_a_name_is_one_of_ours():
    assert of_model({"name": "mobilenet_v2", "width_multiplier": 0.1}) == TINY


# fmt: off
MISTAKES = [
    ("own_networks.py", "must be FILE.py:FUNCTION, PACKAGE.MODULE:FUNCTION or FILE"),
    (":tiny", "must be FILE.py:FUNCTION"),
    ("nowhere.py:tiny", "There is no file nowhere.py"),
    ("nowhere.networks:tiny", "No module named 'nowhere'"),
    ("own_networks.py:tny", "own_networks.py has no function tny: did you mean tiny.$"),
    ("own_networks:value", "own_networks has no function value"),
    ("own_networks.py:number", "must return a ClassifierSpec, but returned 3"),
    ("own_networks.py:fails", "fails with ZeroDivisionError: division by zero"),
    ("nowhere.json", "nowhere.json cannot be read: No such file"),
    ("broken.json", "broken.json is not JSON"),
    ("wrong.json", "wrong.json is not a ClassifierSpec: "),
    ("typo.json", "is not a ClassifierSpec: it has no field backbone.blocks.0.resid"),
    ("own_networks.py:backbone", "must return a ClassifierSpec, but returned Backbone"),
]
# fmt: on


@pytest.mark.parametrize(("text", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(text, sentence):
    with pytest.raises(UserError, match=sentence):
        own_spec(text)


def test_only_what_does_not_follow_from_the_table_is_replaced():
    with pytest.raises(UserError, match="option 'width_multiplier' of mobilenet_v2"):
        of_model({"spec": "tiny.json", "width_multiplier": 2.0})


@pytest.mark.parametrize("spec", ["own_networks.py:tiny", "own_networks:tiny", TINY])
def test_a_resolved_model_needs_no_file(spec, folder_is_gone):
    model = {"spec": spec if isinstance(spec, str) else dataclasses.asdict(spec)}
    plain = json.loads(json.dumps(resolved({**model, "resolution": 96})))
    folder_is_gone()
    assert plain["resolution"] == 96
    assert of_model(plain) == get_spec(
        "mobilenet_v2", width_multiplier=0.1, resolution=96
    )


@pytest.fixture
def folder_is_gone(tmp_path):
    return lambda: [file.unlink() for file in tmp_path.glob("*.*")]


def test_a_word_is_a_name_or_an_own_network():
    v2 = get_spec("mobilenet_v2", resolution=96)
    assert named_or_own("mobilenet_v2", resolution=96) == v2
    assert named_or_own("tiny.json") == named_or_own("own_networks.py:tiny") == TINY
    with pytest.raises(UserError, match="did you mean 'mobilenet_v2'"):
        named_or_own("mobilenetv2")


def changed(number, **values):
    """`TINY` with other values in one of its blocks."""
    blocks = list(TINY.backbone.blocks)
    blocks[number] = dataclasses.replace(blocks[number], **values)
    return with_backbone(TINY, blocks=tuple(blocks))


# fmt: off
MISFITS = [
    (changed(0, in_channels=9), "block0 takes 9 channels, but the stem gives 8"),
    (changed(3, out_channels=9), "block4 takes 8 channels, but block3 gives 9"),
    (changed(1, residual=True), "block1 adds its input to its output, but changes its"),
    (with_backbone(TINY, blocks=()), "mobilenet_v2 has no blocks"),
]
# fmt: on


@pytest.mark.parametrize(("spec", "sentence"), MISFITS)
def test_blocks_that_do_not_fit_are_refused(spec, sentence):
    with pytest.raises(UserError, match=sentence):
        of_model({"spec": dataclasses.asdict(spec)})
