"""A search from end to end on a small space: what it leaves, and that it resumes."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import mobilenets
from mobilenets.inference import trained
from mobilenets.networks.own_spec import own_spec
from mobilenets.search import latency_table, page
from mobilenets.search.candidates import Candidates, Score
from mobilenets.search.evaluator import Evaluator
from mobilenets.search.latency_table import Table
from mobilenets.training import loop
from studies import search_study
from tests import worker_processes
from tests.small_search import write_files
from tests.small_space import SPACE
from tests.sweeps import postgresql

pytestmark = pytest.mark.slow  # a supernet is trained

ROOT = pathlib.Path(__file__).parents[2]


def lines(workdir):
    text = (workdir / "evaluated.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("search"))


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
    # Candidates, hypervolume and the networks; nothing is measured of a phone.
    assert page.count("data:image/png;base64,") == 3
    assert "by random search" in page
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
    assert "4 steps of 3 networks, batches of 16" in result.stdout
    assert re.search("evolution +6 candidates, ranked by 56 images", result.stdout)
    assert "lacks 1 of the 10 rows that this space needs:\n  inverted" in result.stdout


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
    assert not (tmp_path / "w").exists()  # before anything is begun


def trained_only(searched, folder):
    """A copy of the search in which the supernet is trained and nothing evaluated."""
    results = ("evaluated.jsonl", "trials.db", "found", "report.html", "workers")
    shutil.copytree(searched, folder, ignore=shutil.ignore_patterns(*results))


def command(files, folder, *options):
    words = [sys.executable, "-m", "mobilenets", "search"]
    return [*words, "--config", files / "search.py", "--workdir", folder, *options]


def results(workdir):
    """What was evaluated, in any order, and what was found of it."""
    found = [p.read_text() for p in sorted((workdir / "found").glob("*.json"))]
    return sorted(map(str, lines(workdir))), found


def at_work(folder):
    """A worker that evaluates a candidate, if there is one."""
    workers = worker_processes.of_folder("mobilenets.search.worker", folder)
    locks = folder / "workers/locks"
    return next((w for w in workers if worker_processes.holds(w, locks)), None)


def test_three_workers_of_which_one_is_killed_find_the_same(searched, files, tmp_path):
    kill_one_of(3, searched, files, tmp_path / "run")


def test_three_workers_on_a_server_of_which_one_is_killed_find_the_same(
    searched, files, tmp_path
):
    with postgresql.server() as url:
        kill_one_of(3, searched, files, tmp_path / "run", "--storage", url)
        assert not (tmp_path / "run/trials.db").exists()


def kill_one_of(workers, searched, files, folder, *options):
    trained_only(searched, folder)
    process = subprocess.Popen(
        list(map(str, command(files, folder, "--workers", workers, *options))),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    killed = worker_processes.wait_until(lambda: at_work(folder))
    os.kill(killed, signal.SIGKILL)
    printed, _ = process.communicate(timeout=900)
    assert process.returncode == 0, printed
    assert results(folder) == results(searched)


class Killed(BaseException):
    """What a process does not survive."""


def dies(*_, **__):
    raise Killed


def test_a_search_killed_in_the_supernet_goes_on_to_the_same_end(
    searched, files, tmp_path, run
):
    workdir, log = tmp_path / "run", tmp_path / "log"
    words = list(
        map(str, command(files, workdir, "--latency-table", files / "phone.csv"))
    )
    with log.open("w") as out:
        process = subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=out)
    worker_processes.wait_until(lambda: "Training the supernet" in log.read_text())
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (workdir / "evaluated.jsonl").exists()
    result = run(*words[3:])
    assert result.exit_code == 0, result.stderr
    assert results(workdir) == results(searched)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(Evaluator, "__call__"), (trained, "save"), (page, "render")],
    ids=["evolution", "weights", "report"],
)
def test_a_search_killed_later_goes_on_to_the_same_end(
    owner, name, searched, files, tmp_path, run, monkeypatch
):
    workdir = tmp_path / "run"
    trained_only(searched, workdir)
    words = command(files, workdir)[3:]
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(owner, name, dies)
        run(*words)
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert results(workdir) == results(searched)
    pages = [(path / "report.html").read_bytes() for path in (workdir, searched)]
    assert pages[0] == pages[1]


def test_a_search_killed_while_it_measures_measures_again(
    searched, files, tmp_path, monkeypatch
):
    from mobilenets.search import command, definition

    workdir = tmp_path / "run"
    trained_only(searched, workdir)
    (workdir / "latency_table.csv").unlink()
    search = definition.load(str(files / "search.py"))
    monkeypatch.setattr(latency_table.latency, "in_turn", dies)
    with pytest.raises(Killed):
        command.run(search, str(workdir), None, lambda line: None)
    assert not (workdir / "latency_table.csv").exists()
    monkeypatch.undo()
    told = []
    command.run(search, str(workdir), None, told.append)
    table = latency_table.read(workdir / "latency_table.csv")
    assert table.device == latency_table.device_name()
    # Now that it is this machine's, whole networks are measured, too.
    page = (workdir / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "The latency table is off by" in page
    assert any("networks of the front as a whole" in line for line in told)


def test_a_supernet_that_has_diverged_is_a_sentence(
    searched, files, tmp_path, run, monkeypatch
):
    workdir = tmp_path / "run"
    trained_only(searched, workdir)
    nothing = Score(accuracy=0.5, loss=float("nan"))
    monkeypatch.setattr(Candidates, "score", lambda *_: nothing)
    stderr = mistake(run, files, "--workdir", workdir)
    assert "No candidate has a finite loss: the supernet has diverged" in stderr
    assert re.search(r"warning: the loss of \d+ candidates is not finite", stderr)


def test_a_table_that_another_command_measures_meanwhile_is_not_taken_silently(
    files, tmp_path, run, monkeypatch
):
    workdir = tmp_path / "run"
    table = (files / "phone.csv").read_text()

    def train(task, path):  # while it does, the other command writes its table
        here = latency_table.device_name()
        workdir.joinpath("latency_table.csv").write_text(table.replace("a phone", here))

    monkeypatch.setattr(loop, "train", train)
    options = ("--workdir", workdir, "--latency-table", files / "phone.csv")
    stderr = mistake(run, files, *options)
    assert (
        "the search has begun with one of" in stderr and "another --workdir" in stderr
    )


def test_a_search_of_another_version_is_refused(searched, files, tmp_path, run):
    """It would go on with other candidates."""
    workdir = tmp_path / "run"
    shutil.copytree(searched, workdir)
    claim = json.loads((workdir / "search.json").read_text())
    del claim["version"]  # as the first one
    (workdir / "search.json").write_text(json.dumps(claim))
    before = (workdir / "evaluated.jsonl").read_bytes()
    stderr = mistake(run, files, "--workdir", workdir)
    assert "was begun by another version of this package" in stderr
    assert (workdir / "evaluated.jsonl").read_bytes() == before


def test_the_supernet_of_another_space_is_refused(searched, files, tmp_path, run):
    """One that a user has put there."""
    workdir = tmp_path / "run"
    shutil.copytree(searched / "supernet", workdir / "supernet")
    config = workdir / "supernet/config.json"
    config.write_text(config.read_text().replace('"name":"small"', '"name":"other"'))
    config.write_text(config.read_text().replace('"name": "small"', '"name": "other"'))
    stderr = mistake(run, files, "--workdir", workdir)
    assert "belongs to a run with another config, which differs in model" in stderr


def test_the_study_runs_to_its_end_and_resumes(searched, files, tmp_path, monkeypatch):
    """But for what trains networks: their accuracies are made up here."""
    trained_only(searched, tmp_path / "search")
    (tmp_path / "search/latency_table.csv").unlink()  # a phone's
    claim = tmp_path / "search/search.json"
    values = json.loads(claim.read_text())
    values["search"]["check_networks"] = 0  # the study measures networks itself
    claim.write_text(json.dumps(values))

    def trained(path, specs, seeds, epochs):
        return [[0.5 + 0.01 * (i + seed) for seed in range(seeds)] for i in range(9)][
            : len(specs)
        ]

    monkeypatch.setattr(search_study, "train_alone", trained)
    monkeypatch.setattr(
        search_study, "scores_of_supernet", lambda *given: [0.1, 0.2, 0.4, 0.3]
    )
    preset = dataclasses.replace(
        search_study.PRESETS["smoke"], search=str(files / "search.py")
    )
    parts = search_study.run(tmp_path, preset)
    assert "| supernet, uniform 0 | 0.67" in parts.tables
    assert (
        len(re.findall(r"^\| [01] \| 0\.\d{4} \| 0\.\d{4} \|$", parts.tables, re.M))
        == 2
    )
    assert "| finalist 0 |" in parts.tables
    monkeypatch.setattr(Candidates, "score", None)
    monkeypatch.setattr(latency_table, "measure_whole", None)
    assert search_study.run(tmp_path, preset).tables == parts.tables
