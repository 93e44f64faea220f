"""What is said before anything is trained."""

import pathlib

import pytest

from tests.small_search import CONFIG, write_files, write_search


@pytest.fixture
def files(tmp_path):
    return write_files(tmp_path)


def test_a_search_larger_than_its_space_is_refused(files, run, tmp_path):
    (tmp_path / "supernet.py").write_text(CONFIG)
    large = write_search(tmp_path, population=5)
    result = run("search", "--config", large, "--dry-run")
    assert "evaluates 10 networks, but the space has 9" in result.stderr
    text = large.read_text().replace('latency": -1.0', 'speed": -1.0')
    large.write_text(text)
    stderr = run("search", "--config", large, "--dry-run").stderr
    assert "objectives has the key 'speed', which must be 'accuracy', 'lat" in stderr
    (tmp_path / "supernet.py").write_text(
        "from mobilenets.config import files\n"
        "def get_config():\n    return files.read('quickstart:smoke')\n"
    )
    write_search(tmp_path, population=3)
    assert "trains no supernet" in run("search", "--config", large, "--dry-run").stderr


def test_a_table_is_made_here_or_blank(files, run, tmp_path):
    blank = tmp_path / "blank.csv"
    options = ("latency-table", "--config", files / "search.py")
    result = run(*options, "--blank", blank)
    assert result.exit_code == 0, result.stderr
    assert "Wrote" in result.stdout
    assert len(blank.read_text().splitlines()) == 2 + 1 + 9
    assert run(*options, "--blank", blank).exit_code == 1  # it is there
    assert run(*options).exit_code == 1
    assert pathlib.Path(blank).read_text().startswith("# device: NAME OF THE DEVICE")
