"""A search from end to end on a small space: what it leaves, and that it resumes."""

import json
import pathlib
import shutil

import numpy as np
import pytest

import mobilenets
from mobilenets.inference import trained
from mobilenets.networks.own_spec import own_spec
from mobilenets.search import latency_table
from mobilenets.search.candidates import Candidates
from mobilenets.search.command import values
from mobilenets.search.definition import Reward, Search
from mobilenets.search.folder import Evaluated
from mobilenets.search.latency_table import CALL, Table, key_of, pieces_of
from tests.small_space import CLASSES, SPACE

CONFIG = """
from mobilenets.config import files

def get_config():
    config = files.read("quickstart:smoke")
    config.task = dict(name="supernet")
    config.model = dict(spec="tests/small_space.py:space")
    config.dataset.eval_split = "train[64:104]"
    config.epochs = 1.0
    return config
"""
SEARCH = """
from mobilenets.search.definition import Search

def get_search():
    return Search(
        supernet={config!r},
        population={population},
        generations=2,
        calibration_images=16,
        objectives={{"accuracy": 1.0, "latency": -1.0}},
        found=2,
    )
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A config, a search and a latency table of a phone."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "supernet.py").write_text(CONFIG)
    write_search(folder, population=3)
    pieces = pieces_of(SPACE, CLASSES)
    keys = [key_of(piece) for piece in pieces]
    times = {CALL: 0.0, **{key: 1.0 + key.kernel_size for key in keys}}
    latency_table.write(Table("a phone", times), keys, folder / "phone.csv")
    return folder


def write_search(folder, population):
    text = SEARCH.format(config=str(folder / "supernet.py"), population=population)
    (folder / "search.py").write_text(text)
    return folder / "search.py"


def lines(workdir):
    text = (workdir / "evaluated.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def searched(files, tmp_path_factory):
    """A finished search."""
    from mobilenets.search import command, definition

    workdir = tmp_path_factory.mktemp("searched") / "run"
    search = definition.load(str(files / "search.py"))
    command.run(search, str(workdir), str(files / "phone.csv"), lambda line: None)
    return workdir


def test_every_candidate_is_evaluated_once(searched):
    genes = [tuple(line["genes"]) for line in lines(searched)]
    # Six of the evolution; random search draws others, or the same.
    assert len(genes) == len(set(genes)) >= 6


def test_what_is_found_is_a_spec_with_weights(searched):
    found = sorted((searched / "found").glob("*.json"))
    assert found[0].name == "a.json"
    spec = own_spec(str(found[0]))
    genes = SPACE.genes(spec)
    net = trained.load(str(searched / "found" / "a"))
    assert net.description.network == spec
    supernet = trained.load(str(searched / "supernet"))
    np.testing.assert_array_equal(
        net.variables["params"]["block1"]["depthwise"]["conv"]["kernel"],
        supernet.variables["params"]["block1"][f"choice{genes[0]}"]["depthwise"][
            "conv"
        ]["kernel"],
    )
    config = mobilenets.load_config(f"searched:spec={found[0]},smoke")
    assert mobilenets.tasks.registry.make_task(config).spec.backbone == spec.backbone


def test_the_page_has_the_front_and_needs_no_other_file(searched):
    page = (searched / "report.html").read_text()
    assert "a phone" in page
    assert page.count("data:image/png;base64,") == 2
    assert "E3 k5" in page or "E2 k3" in page


def test_a_killed_search_goes_on_to_the_same_end(searched, files, tmp_path, run):
    """One that was cut off within a line, after four candidates."""
    workdir = tmp_path / "killed"
    shutil.copytree(searched, workdir)
    shutil.rmtree(workdir / "found")
    (workdir / "report.html").unlink()
    kept = (searched / "evaluated.jsonl").read_text().splitlines(keepends=True)
    (workdir / "evaluated.jsonl").write_text("".join(kept[:4]) + kept[4][:10])
    result = run("search", "--config", files / "search.py", "--workdir", workdir)
    assert result.exit_code == 0, result.stderr
    assert lines(workdir) == lines(searched)
    for name in ("found/a.json", "report.html"):
        assert (workdir / name).read_bytes() == (searched / name).read_bytes()


def test_a_finished_search_evaluates_nothing_again(searched, files, run, monkeypatch):
    monkeypatch.setattr(Candidates, "score", None)
    before = (searched / "evaluated.jsonl").read_bytes()
    result = run("search", "--config", files / "search.py", "--workdir", searched)
    assert result.exit_code == 0, result.stderr
    assert (searched / "evaluated.jsonl").read_bytes() == before


def test_more_of_an_objective_is_better_as_its_sign_says():
    one = Evaluated((0, 0), accuracy=0.5, latency=10.0, parameters=7, madds=3)
    objectives = {"accuracy": 1.0, "latency": -2.0, "parameters": 0.5, "madds": -1.0}
    search = Search(supernet="any", objectives=objectives)
    assert values(search, one) == [0.5, -10.0, 7.0, -3.0]
    # MnasNet's: twice the target costs 5 % of the accuracy.
    search = Search(supernet="any", reward=Reward(target=5.0))
    assert values(search, one) == [pytest.approx(0.5 * 2**-0.07)]


def test_the_plan_tells_the_size_and_what_a_table_lacks(files, run, tmp_path):
    table = latency_table.read(files / "phone.csv")
    keys = list(table.milliseconds)
    latency_table.write(
        Table("a phone", {k: 1.0 for k in keys[:-1]}), keys, tmp_path / "lacks.csv"
    )
    result = run(
        *("search", "--config", files / "search.py", "--dry-run"),
        *("--latency-table", tmp_path / "lacks.csv"),
    )
    assert result.exit_code == 0, result.stderr
    assert "small: 9 networks at 16 pixels" in result.stdout
    assert "4 steps of 3 networks each" in result.stdout
    assert "lacks 1 of them" in result.stdout


def mistake(run, files, *options, search="search.py"):
    result = run("search", "--config", files / search, *options)
    assert result.exit_code == 1
    return result.stderr


def test_mistakes_are_one_clear_sentence(searched, files, run, tmp_path):
    phone = files / "phone.csv"
    assert "--workdir is missing" in mistake(run, files)
    other = tmp_path / "other.csv"
    other.write_text(phone.read_text().replace("a phone", "another"))
    stderr = mistake(run, files, "--workdir", searched, "--latency-table", other)
    assert "is of 'another', but the search has begun with one of 'a phone'" in stderr
    other.write_text(phone.read_text().replace(",4\n", ",5\n"))
    stderr = mistake(run, files, "--workdir", searched, "--latency-table", other)
    assert "differs from" in stderr
    stderr = mistake(run, files, "--workdir", searched / "supernet")
    assert "belongs to a training" in stderr
    stderr = mistake(run, files, "--workdir", searched, "--config.seed=3")
    assert "belongs to another search" in stderr
    other.write_text("\n".join(phone.read_text().splitlines()[:-1]))
    stderr = mistake(run, files, "--workdir", tmp_path / "w", "--latency-table", other)
    assert "lacks the milliseconds of 1 of the pieces, the first: " in stderr
    assert not (tmp_path / "w" / "supernet").exists()  # before hours of training


def test_a_search_larger_than_its_space_is_refused(files, run, tmp_path):
    (tmp_path / "supernet.py").write_text(CONFIG)
    large = write_search(tmp_path, population=5)
    result = run("search", "--config", large, "--dry-run")
    assert "evaluates 10 networks, but the space has 9" in result.stderr
    text = large.read_text().replace('latency": -1.0', 'speed": -1.0')
    large.write_text(text)
    assert "is wrong" in run("search", "--config", large, "--dry-run").stderr
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
