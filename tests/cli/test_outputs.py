"""Whether a file can be written is found out before it is computed."""

import pytest

from mobilenets import UserError
from mobilenets.cli import outputs


def test_folders_are_made_and_files_are_not(tmp_path):
    outputs.check({"json": tmp_path / "a/b/x.json", "csv": None})
    assert [p.name for p in (tmp_path / "a/b").parent.iterdir()] == ["b"]
    assert not any((tmp_path / "a/b").iterdir())


def test_only_our_own_file_is_overwritten(tmp_path):
    file = tmp_path / "x.png"
    file.write_text("")
    outputs.check({"picture": file}, ours=file)
    with pytest.raises(UserError, match=r"x\.png exists already: give another --json"):
        outputs.check({"json": file}, ours=tmp_path / "y.png")


def test_two_options_do_not_name_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    files = {"json": tmp_path / "x", "csv": tmp_path / "a/../x"}
    with pytest.raises(UserError, match="--json and --csv are both"):
        outputs.check(files)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match=r"Cannot write --json .*: it would be in a file"
    ):
        outputs.check({"json": tmp_path / "file/below/x.json"})
