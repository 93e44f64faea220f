"""A spec of the user's own is found by what a config says of it."""

import dataclasses
import json

import pytest

from mobilenets import UserError, get_spec
from mobilenets.networks.own_spec import of_model, own_spec

FILE = """
from mobilenets import get_spec

def tiny():
    return get_spec("mobilenet_v2", width_multiplier=0.1)

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
    assert (replaced.resolution, replaced.bn_momentum) == (96, 0.9)
    assert replaced.blocks == TINY.blocks


def test_a_name_is_one_of_ours():
    assert of_model({"name": "mobilenet_v2", "width_multiplier": 0.1}) == TINY


# fmt: off
MISTAKES = [
    ("own_networks.py", "must be FILE.py:FUNCTION, PACKAGE.MODULE:FUNCTION or FILE"),
    (":tiny", "must be FILE.py:FUNCTION"),
    ("nowhere.py:tiny", "There is no file nowhere.py"),
    ("nowhere.networks:tiny", "No module named 'nowhere'"),
    ("own_networks.py:tny", "own_networks.py has no function tny"),
    ("own_networks:value", "own_networks has no function value"),
    ("own_networks.py:number", "must return a spec, but gave 3"),
    ("own_networks.py:fails", "fails with ZeroDivisionError: division by zero"),
    ("nowhere.json", "nowhere.json cannot be read: No such file"),
    ("broken.json", "broken.json is no JSON"),
    ("wrong.json", "wrong.json is no spec: "),
]
# fmt: on


@pytest.mark.parametrize(("text", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(text, sentence):
    with pytest.raises(UserError, match=sentence):
        own_spec(text)


def test_only_what_does_not_follow_from_the_table_is_replaced():
    with pytest.raises(UserError, match="option of mobilenet_v2 'width_multiplier'"):
        of_model({"spec": "tiny.json", "width_multiplier": 2.0})
