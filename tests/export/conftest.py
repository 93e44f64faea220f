"""What makes these tests fast: none is about time."""

import pytest

from mobilenets.profiling import latency


@pytest.fixture(autouse=True)
def _one_call_is_measured(monkeypatch):
    """Instead of a second of them for each file."""
    durations = latency.durations
    monkeypatch.setattr(latency, "durations", lambda call, _: durations(call, 0))
