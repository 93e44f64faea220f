"""Config files are found by path and by name, wherever the command is run."""

import pathlib

import pytest

from mobilenets.config import files
from mobilenets.errors import UserError
from mobilenets.search.definition import Search, supernet_config
from mobilenets.sweeps.definition import Sweep

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_names_are_those_of_the_files():
    assert set(files.shipped("get_config")) == {f.stem for f in CONFIGS.glob("*.py")}
    sweeps = {f"sweeps/{f.stem}" for f in CONFIGS.glob("sweeps/*.py")}
    assert set(files.shipped("get_sweep")) == sweeps
    assert {"quickstart", "sweeps/learning_rate"} <= {
        *files.shipped("get_config"),
        *files.shipped("get_sweep"),
    }
    searches = {f"search/{f.stem}" for f in CONFIGS.glob("search/*.py")}
    assert set(files.shipped("get_search")) == searches >= {"search/moga"}


def test_every_one_is_found_by_name_and_by_path(elsewhere):
    for name in files.shipped("get_config"):
        by_name, by_path = (files.read(n) for n in (name, f"{CONFIGS / name}.py"))
        assert by_name.to_dict() == by_path.to_dict()
    for name in files.shipped("get_sweep"):
        sweep = files.call(name, "get_sweep")
        assert isinstance(sweep, Sweep)
        files.read(sweep.config)
    for name in files.shipped("get_search"):
        search = files.call(name, "get_search")
        assert isinstance(search, Search)
        assert supernet_config(search).task.name == "supernet"


def test_an_argument_follows_the_colon(elsewhere):
    model = files.configuration("efficientnet:phi=2.5").model
    assert model["resolution"] == 318
    assert files.configuration("quickstart:smoke").batch_size == 16


def test_a_file_of_ones_own_builds_on_one_by_its_name(elsewhere):
    (elsewhere / "helper.py").write_text("EPOCHS = 3.0\n")
    (elsewhere / "own.py").write_text(
        "from mobilenets.config import files\nimport helper\n"
        "def get_config():\n"
        "    config = files.read('quickstart')\n"
        "    config.epochs = helper.EPOCHS\n"
        "    return config\n"
    )
    assert files.configuration("own.py", {"seed": 3}).epochs == 3.0


# fmt: off
MISTAKES = [
    ("quickstrat", r"Unknown config file 'quickstrat': did you mean 'quickstart'\?"),
    ("QUICKSTART", r"did you mean 'quickstart'\?"),
    ("sweeps/learning_rate", "is the config of a sweep: use it with `mobilenets swee"),
    ("search/moga", "is the config of a search: use it with `mobilenets search`"),
    ("mine.txt", "'mine.txt' is no config file: the name of one ends with .py"),
    ("nowhere/quickstart.py", r"did you mean .*'quickstart'\?"),
    ("mine.pi", "Unknown config file 'mine.pi'"),
    ("min.py", r"did you mean 'mine.py'\? Choose from: mine.py"),
    (".", "Unknown config file '.'. Choose from: mine.py"),
    ("", "Unknown config file ''"),
    ("quickstart:smok", "argument 'smok' of the config file: did you mean 'smoke'"),
    ("quickstart:smoke=maybe", "argument smoke of the config file is 'maybe', but mus"),
    ("mine.py:x", "mine.py takes no argument: leave out :x"),
    ("mine.py", "get_config of mine.py must return a ConfigDict, but returned 3"),
    ("fails.py", "fails.py fails in line 2 with ZeroDivisionError: division by zero"),
    ("syntax.py", "syntax.py fails in line 1 with SyntaxError"),
    ("empty.py", "empty.py has no function get_config"),
]
# fmt: on


@pytest.mark.parametrize(("file", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(elsewhere, file, sentence):
    (elsewhere / "mine.py").write_text("def get_config():\n    return 3\n")
    (elsewhere / "mine.txt").write_text("")
    if file in ("fails.py", "syntax.py", "empty.py"):
        texts = {
            "fails.py": "def get_config():\n    return 1 / 0\n",
            "syntax.py": "def get_config(:\n",
            "empty.py": "",
        }
        (elsewhere / file).write_text(texts[file])
    with pytest.raises(UserError, match=sentence):
        files.read(file)


def test_other_python_files_are_not_said_to_be_configs(elsewhere):
    (elsewhere / "tool.py").write_text("print('no config')\n")
    with pytest.raises(UserError, match="`mobilenets config` prints all") as caught:
        files.read("tols.py")
    assert "tool" not in str(caught.value)


def test_a_package_without_its_configs_says_so(elsewhere, monkeypatch):
    (elsewhere / "mobilenets/configs/__pycache__").mkdir(parents=True)
    monkeypatch.setattr(files, "_PACKAGE", elsewhere / "mobilenets")
    with pytest.raises(UserError, match=r"none came with .*, as .*/configs is mis"):
        files.read("quickstart")
    (elsewhere / "configs").mkdir()
    (elsewhere / "configs/mine.py").write_text("def get_config(): ...\n")
    assert files.shipped("get_config") == ["mine"]
