"""Where a progress bar is drawn."""

import importlib.util

import pytest
import rich.console

from mobilenets.runtime import console


@pytest.mark.parametrize(
    ("place", "widgets", "drawn"),
    [
        ({"force_terminal": True, "force_jupyter": False}, False, True),
        ({"force_terminal": False, "force_jupyter": False}, True, False),  # a file
        ({"force_jupyter": True}, True, True),
        ({"force_jupyter": True}, False, False),
    ],
)
def test_a_bar_is_drawn_where_it_can_move(monkeypatch, place, widgets, drawn):
    monkeypatch.setattr(console, "console", rich.console.Console(**place))
    found = object() if widgets else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    assert console.shows_bars() == drawn
