"""Damaged checkpoints are found, named and set aside; nothing begins from zero."""

import json
import os
import random
import shutil
import subprocess
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from mobilenets import UserError
from mobilenets.evaluation.run import evaluate_run
from mobilenets.runs import soundness
from mobilenets.runs.workdir import Workdir
from mobilenets.training.loop import train

UNINTERRUPTED = {step: float(step) for step in range(1, 7)}


def arrays(checkpoint):
    """The state of a checkpoint by its paths, read with Orbax alone."""
    reader = ocp.PyTreeCheckpointer()
    tree = reader.metadata(checkpoint / "state").item_metadata.tree
    on_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    state = reader.restore(checkpoint / "state", restore_args=on_host)
    return {jax.tree_util.keystr(p): x for p, x in jax.tree.leaves_with_path(state)}


def flip(path, position):
    contents = bytearray(path.read_bytes())
    contents[position] ^= 1
    path.write_bytes(contents)


def data_files(checkpoint):
    """Those with the values of the arrays, the largest first."""
    files = (checkpoint / "state").rglob("d/*")
    return sorted(files, key=lambda path: path.stat().st_size, reverse=True)


def write_other_array(checkpoint):
    """As if an array had been written wrong: what Orbax reads without an error."""
    handler = ocp.PyTreeCheckpointHandler()
    on_host = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
        handler.metadata(checkpoint / "state").tree,
    )
    state = handler.restore(
        checkpoint / "state", args=ocp.args.PyTreeRestore(restore_args=on_host)
    )
    state["params"]["kernel"] = np.nextafter(state["params"]["kernel"], np.float32(9))
    shutil.rmtree(checkpoint / "state")
    ocp.PyTreeCheckpointer().save(checkpoint / "state", state)


def edit_run(checkpoint, key, value):
    file = checkpoint / "run/metadata"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))


def truncate_all(checkpoint):
    for path in data_files(checkpoint):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def make_unreadable(checkpoint):
    """As root, who may read every file, cannot read a folder as one."""
    for path in data_files(checkpoint):
        path.unlink()
        path.mkdir()


# What is done to a checkpoint, and what is said of it.
DAMAGES = {
    "an array": (write_other_array, "its array params/kernel is not what was saved"),
    "a file cut off": (truncate_all, "it cannot be read: "),
    "unreadable": (make_unreadable, "it cannot be read: "),
    "no data": (lambda c: [p.unlink() for p in data_files(c)], "it cannot be read: "),
    "no state": (lambda c: shutil.rmtree(c / "state"), "it cannot be read: "),
    "no run": (lambda c: shutil.rmtree(c / "run"), "it cannot be read: "),
    "bytes in the run": (
        lambda c: (c / "run/metadata").write_bytes(b"\xff\x00{"),
        "it cannot be read: ",
    ),
    "other facts": (
        lambda c: edit_run(c, "data_facts", {"train_size": 9}),
        "the facts of its run are not what was saved",
    ),
    "no metrics": (
        lambda c: shutil.rmtree(c / "metrics"),
        "its metrics are not what was saved",
    ),
    "bytes in the metrics": (
        lambda c: (c / "metrics/metrics").write_bytes(b"\xff\x00{"),
        "it cannot be read: ",
    ),
    "other metrics": (
        lambda c: (c / "metrics/metrics").write_text('{"headline": 9.0}'),
        "its metrics are not what was saved",
    ),
    "nothing": (
        lambda c: [shutil.rmtree(p) for p in c.iterdir() if p.is_dir()],
        "it cannot be read: ",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_set_aside(workdir, run, damage):
    act, said = DAMAGES[damage]
    act(workdir / "checkpoints/5")
    checked = run("check-run", workdir)
    assert checked.exit_code == 1
    assert f"step 4: sound\nstep 5: {said}" in checked.stdout
    damaged, continues = soundness.recover(Workdir(workdir))
    assert f"The checkpoint of step 5 is not used, because {said}" in damaged
    assert continues == "The run continues from the checkpoint of step 4."
    assert (workdir / "damaged_checkpoints/5").is_dir()
    assert run("check-run", workdir).stdout == "step 4: sound\n"


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["a file cut off", "no data"])
def test_damage_is_one_sentence_of_a_process(workdir, damage):
    """Threads that have read other arrays than the damaged one tell nothing."""
    DAMAGES[damage][0](workdir / "checkpoints/5")
    result = subprocess.run(
        [sys.executable, "-m", "mobilenets", "check-run", workdir],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.count("\n") == 2


@pytest.mark.parametrize("damage", ["an array", "bytes in the metrics", "nothing"])
def test_the_run_continues_from_the_one_before(
    workdir, make_task, values, capsys, damage
):
    DAMAGES[damage][0](workdir / "checkpoints/5")
    train(make_task(), str(workdir))
    printed = capsys.readouterr().out
    assert "The checkpoint of step 5 is not used" in printed
    assert "Resuming at step 4 of 6." in printed
    assert values(workdir) == UNINTERRUPTED


def test_a_damaged_best_checkpoint_is_set_aside_too(workdir, make_task, capsys):
    write_other_array(workdir / "checkpoints/4")
    with pytest.raises(UserError, match=r"step 4 is damaged: .* `mobilenets check-run"):
        evaluate_run(make_task(), str(workdir), ema=False)
    train(make_task(), str(workdir))
    printed = capsys.readouterr().out
    assert "The checkpoint of step 4 is not used" in printed
    assert "Resuming at step 5 of 6." in printed


def test_a_checkpoint_under_another_step_is_not_used(workdir, make_task, values):
    (workdir / "checkpoints/5").rename(workdir / "checkpoints/3")
    (workdir / "checkpoints/4").rename(workdir / "checkpoints/5")
    with pytest.raises(UserError, match=r"step 5: its state is that of step 4"):
        train(make_task(), str(workdir))
    assert {p.name for p in (workdir / "checkpoints").iterdir()} == {"3", "5"}


def test_a_checkpoint_is_set_aside_beside_others(workdir):
    aside = workdir / "damaged_checkpoints"
    (aside / "5.1/state").mkdir(parents=True)  # the user has moved 5 away
    for expected in ("5", "5.2"):
        shutil.copytree(workdir / "checkpoints/4", workdir / "checkpoints/5.copy")
        shutil.rmtree(workdir / "checkpoints/5", ignore_errors=True)
        (workdir / "checkpoints/5.copy").rename(workdir / "checkpoints/5")
        told, _ = soundness.recover(Workdir(workdir))
        assert told.endswith(f"It is now {aside / expected}.")
    assert {p.name for p in aside.iterdir()} == {"5", "5.1", "5.2"}


def test_a_place_for_damaged_checkpoints_that_is_none_is_told(workdir, make_task):
    write_other_array(workdir / "checkpoints/5")
    (workdir / "damaged_checkpoints").touch()
    with pytest.raises(UserError, match="Cannot write to --workdir"):
        train(make_task(), str(workdir))


def test_where_none_is_sound_the_run_is_refused_and_left_as_it_is(workdir, make_task):
    for step in (4, 5):
        write_other_array(workdir / f"checkpoints/{step}")
    metrics = (workdir / "metrics.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"No checkpoint .* step 5: .*; that of step 4"):
        train(make_task(), str(workdir))
    assert (workdir / "metrics.jsonl").read_bytes() == metrics
    assert {p.name for p in (workdir / "checkpoints").iterdir()} == {"4", "5"}


@pytest.mark.parametrize("again", [False, True])
def test_a_run_whose_checkpoints_are_gone_does_not_begin_from_zero(
    workdir, make_task, run, again
):
    shutil.rmtree(workdir / "checkpoints")
    if again:
        (workdir / "checkpoints").mkdir()
    metrics = (workdir / "metrics.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"step 5: it is missing.*bring back a copy"):
        train(make_task(), str(workdir))
    assert (workdir / "metrics.jsonl").read_bytes() == metrics
    checked = run("check-run", workdir)
    assert (checked.exit_code, checked.stdout) == (1, "step 5: it is missing\n")


def test_the_config_in_the_checkpoint_is_that_of_the_run(workdir, make_task, run):
    (workdir / "config.json").unlink()
    with pytest.raises(UserError, match=r"differs in seed \(0 there, 1 given\)"):
        train(make_task(seed=1), str(workdir))
    assert not (workdir / "config.json").exists()
    train(make_task(), str(workdir))
    saved = json.loads((workdir / "config.json").read_text())
    assert saved["seed"] == 0
    (workdir / "config.json").write_text(json.dumps(saved | {"seed": 1}))
    checked = run("check-run", workdir)
    assert checked.exit_code == 1
    assert "its config is not that of the run: seed (0 there, 1 given)" in (
        checked.stdout
    )


def test_a_checkpoint_without_hashes_is_read_without_the_check(
    workdir, make_task, values, run
):
    for step in (4, 5):  # as they were before there were hashes
        file = workdir / f"checkpoints/{step}/run/metadata"
        saved = json.loads(file.read_text())
        old = ("config", "data_facts", "description", "headline", "finished")
        file.write_text(json.dumps({key: saved[key] for key in old}))
    (workdir / "last_checkpoint.json").unlink()
    assert run("check-run", workdir).exit_code == 0
    train(make_task(), str(workdir))
    assert values(workdir) == UNINTERRUPTED


def test_a_flipped_bit_anywhere_changes_nothing_or_is_found(workdir, run, tmp_path):
    checkpoint = workdir / "checkpoints/5"
    expected = arrays(checkpoint)
    run_facts = json.loads((checkpoint / "run/metadata").read_text())
    random.seed(0)
    found = 0
    shutil.rmtree(workdir / "checkpoints/4")
    files = [p for p in checkpoint.rglob("*") if p.is_file() and p.stat().st_size]
    for path in files:
        whole = path.read_bytes()
        flip(path, random.randrange(len(whole)))
        checked = run("check-run", workdir)
        if checked.exit_code:
            assert "step 5: " in checked.stdout, checked
            found += 1
        else:
            read = arrays(checkpoint)
            assert set(read) == set(expected)
            assert all((read[name] == expected[name]).all() for name in expected)
            assert json.loads((checkpoint / "run/metadata").read_text()) == run_facts
        path.write_bytes(whole)
    assert found > 3
