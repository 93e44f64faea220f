"""The folder of a run: others in it, no access, no room, damaged records."""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import filelock
import orbax.checkpoint as ocp
import pytest

from mobilenets import UserError
from mobilenets.errors import Stuck
from mobilenets.runs import checkpoint, soundness
from mobilenets.runs.metric_log import MetricLog, read_metrics
from mobilenets.runs.workdir import Workdir
from mobilenets.training.loop import train

ROOT = pathlib.Path(__file__).parents[2]
NOBODY = 65534


def no_compilation(task):
    """A task that fails the test if anything is computed."""

    def init_variables(rng):
        raise AssertionError("the run has begun")

    task.init_variables = init_variables
    return task


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_second_training_is_refused(workdir, make_task):
    with filelock.FileLock(workdir / ".training.lock"):  # as the first one holds it
        before = contents(workdir)
        with pytest.raises(UserError, match=r"Another training is running in --workd"):
            train(no_compilation(make_task()), str(workdir))
        assert contents(workdir) == before


def test_the_lock_is_held_until_the_end(make_task, tmp_path):
    refused = []

    def after_evaluation(step, results):
        with pytest.raises(UserError, match="Another training") as error:
            train(no_compilation(make_task()), str(tmp_path))
        refused.append(error)

    train(make_task(), str(tmp_path), after_evaluation)
    assert len(refused) == 6


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_on_a_file_system_without_locks_a_run_is_warned(
    make_task, tmp_path, monkeypatch, capsys, number
):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    train(make_task(), str(tmp_path))
    printed = capsys.readouterr().out
    assert (
        f"warning: the file system of {tmp_path} has no locks: nothing prev" in printed
    )


@pytest.mark.parametrize(
    ("workdir", "message"),
    [
        ("", "--workdir is empty: give a folder"),
        ("notes.txt", "--workdir notes.txt is a file: use a folder"),
        ("notes.txt/run", "Cannot write to --workdir notes.txt/run: Not a directory"),
    ],
)
def test_a_workdir_that_can_be_no_folder_is_refused(
    make_task, tmp_path, monkeypatch, workdir, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=message):
        train(no_compilation(make_task()), workdir)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard"])
def test_a_file_in_the_place_of_a_folder_is_found_at_the_start(
    make_task, tmp_path, name
):
    (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=rf"Cannot write to --workdir .*{name}"):
        train(no_compilation(make_task()), str(tmp_path))


TRAIN_AS_ANOTHER_USER = """
import os, sys
import jax
from mobilenets import UserError
from mobilenets.training.loop import train
from tests import toy_task
import orbax.checkpoint, filelock
task = toy_task.ToyTask(toy_task.make_config(best_metric="val/distance"))
del toy_task.ToyTask.init_variables  # nothing is computed
for folder in sys.argv[2:]:
    os.seteuid(int(sys.argv[1]))
    try:
        train(task, folder)
    except UserError as error:
        print("error:", error)
    os.seteuid(0)
"""
PLACES = ("", "checkpoints", "checkpoints/5", "tensorboard")


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_a_folder_of_another_user_is_found_at_the_start(stopped):
    root = pathlib.Path("/tmp") / f"of_root_{os.getpid()}"
    folders = [root / str(number) for number in range(len(PLACES))]
    try:
        for folder, place in zip(folders, PLACES, strict=True):
            shutil.copytree(stopped, folder)
            for path in [folder, *folder.rglob("*")]:
                shutil.chown(path, NOBODY)
            shutil.chown(folder / place, 0)
        result = subprocess.run(
            [sys.executable, "-c", TRAIN_AS_ANOTHER_USER, str(NOBODY), *folders],
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        shutil.rmtree(root)
    told = result.stdout.splitlines()
    assert len(told) == len(PLACES), result.stderr
    for line, folder in zip(told, folders, strict=True):
        assert line.startswith(f"error: Cannot write to --workdir {folder}")
        assert "Permission denied" in line


def full_disk(monkeypatch, at_step):
    """The state of that step cannot be written."""
    save = ocp.PyTreeCheckpointHandler.async_save

    async def fails(self, directory, *arguments, **options):
        path = getattr(directory, "path", directory)
        if f"/{at_step}." in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return await save(self, directory, *arguments, **options)

    monkeypatch.setattr(ocp.PyTreeCheckpointHandler, "async_save", fails)


def test_a_disk_that_is_full_costs_only_what_came_after_the_last_save(
    make_task, tmp_path, monkeypatch, values
):
    with monkeypatch.context() as patch:
        full_disk(patch, at_step=5)
        with pytest.raises(
            UserError,
            match=r"step 5 could not be saved in .*: .*No space left.*step 4 is kept",
        ):
            train(make_task(), str(tmp_path))
    train(make_task(), str(tmp_path))
    assert values(tmp_path) == {step: float(step) for step in range(1, 7)}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"nobody may mount a file system here: {made.stderr}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder, room):
    """Leaves so many bytes of a file system."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - room)


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root makes a small file system")
@pytest.mark.parametrize("room", [0, 4, 12, 24, 40, 56])
def test_a_disk_that_is_really_full_costs_only_what_came_after(
    make_task, small_disk, values, room
):
    run = small_disk / "run"
    complete = run / "checkpoints/4/_CHECKPOINT_METADATA"

    def after_evaluation(step, results):
        if step == 4:
            while not complete.exists():
                time.sleep(0.01)
            fill(small_disk, room * 1024)

    with pytest.raises(UserError, match="No space left on device"):
        train(make_task(), str(run), after_evaluation)
    assert not soundness.fault(run / "checkpoints/4")
    (small_disk / "filler").unlink()
    train(make_task(), str(run))
    assert values(run) == {step: float(step) for step in range(1, 7)}


def test_a_save_that_does_not_end_is_given_up(make_task, tmp_path, monkeypatch):
    release = threading.Event()
    wait = ocp.CheckpointManager.wait_until_finished

    def never_ends(self):
        if threading.current_thread() is not threading.main_thread():
            release.wait()
        wait(self)

    monkeypatch.setattr(checkpoint, "SAVE_SECONDS", 0.2)
    monkeypatch.setattr(ocp.CheckpointManager, "wait_until_finished", never_ends)
    with pytest.raises(Stuck, match=r"could not be saved .* longer than 0\.2 seconds"):
        train(make_task(), str(tmp_path))
    release.set()


@pytest.mark.slow
def test_the_process_of_a_save_that_does_not_end_ends(tmp_path):
    command = [sys.executable, "-m", "tests.toy_program", tmp_path / "run"]
    result = subprocess.run(
        [*command, "--save-seconds=0.5"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 1
    assert "error: The checkpoint of step 2 could not be saved" in result.stderr
    assert "Traceback" not in result.stderr


def test_metrics_that_cannot_be_written_end_the_run_in_a_sentence(
    make_task, workdir, monkeypatch
):
    # /dev/full fails as a full disk does.
    log = MetricLog(Workdir(workdir), 5)
    (workdir / "metrics.jsonl").unlink()
    (workdir / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"metrics cannot be written to .*No space"):
        log.write(6, {"train/loss": 1.0})


def test_events_of_tensorboard_cannot_make_the_run_wait(workdir, monkeypatch):
    log = MetricLog(Workdir(workdir), 5)
    log._events._writer._py_recordio_writer._writer = open("/dev/full", "wb")
    with pytest.raises(UserError, match=r"metrics cannot be written to .*No space"):
        for step in range(100):  # more than any queue holds
            log.write(step, {"train/loss": 1.0})


BAD_LINES = [
    b"\xff\xfe\x00not text",
    b"not JSON",
    b'{"step": 3, "val/ema/value"',
    b"[1, 2]",
    b'{"no step": 1}',
    b'{"step": "3"}',
    b'{"step": 3, "train/loss": {}}',
]


def test_damaged_lines_of_the_metrics_are_kept_aside(
    workdir, make_task, values, capsys
):
    file = workdir / "metrics.jsonl"
    records = read_metrics(file)
    first, *rest = file.read_bytes().splitlines()
    cut_short = rest[-1][:-9]  # as a killed run leaves it
    file.write_bytes(
        b"\n".join([BAD_LINES[0], first, *BAD_LINES[1:], *rest, cut_short])
    )
    assert read_metrics(file) == records
    train(make_task(), str(workdir))
    assert values(workdir) == {step: float(step) for step in range(1, 7)}
    assert (workdir / "metrics.damaged").read_bytes().splitlines() == BAD_LINES
    assert f"{workdir}/metrics.damaged: 7." in capsys.readouterr().out
    assert all(isinstance(json.loads(line), dict) for line in file.open())
