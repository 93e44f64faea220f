"""What libraries print in a process of ours."""

import logging
import sys

import absl.logging
import pytest

from mobilenets.runtime import compilation_cache, host_memory, start_up


@pytest.fixture
def prepared(monkeypatch):
    """A process that is ours alone, of which the other tests notice nothing."""
    loggers = [logging.getLogger(name) for name in ("absl", "jax")]
    levels = [logger.level for logger in loggers]
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(compilation_cache, "use", lambda: None)
    monkeypatch.setattr(host_memory, "use_huge_pages", lambda: None)
    start_up.prepare_jax()
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
        logger.removeFilter(start_up.is_not_raised_too)


@pytest.mark.usefixtures("prepared")
def test_what_orbax_raises_as_well_is_not_logged_with_a_traceback(caplog):
    logger = logging.getLogger("absl")
    error = OSError("Connection reset by peer")
    of_threads = ("futures/future.py", "checkpointers/async_checkpointer.py")
    for file in (*of_threads, "path/storage_backend.py"):
        path, failed = f"orbax/{file}", (OSError, error, None)
        record = logger.makeRecord(
            "absl", logging.ERROR, path, 1, f"{file} has failed", (), failed
        )
        logger.handle(record)
    absl.logging.error("The disk is full")
    # The third is raised nowhere.
    messages = [record.message for record in caplog.records]
    assert messages == ["path/storage_backend.py has failed", "The disk is full"]
