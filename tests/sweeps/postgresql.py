"""A PostgreSQL server of its own for a test, of Debian's packages."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Starts a server with an empty database; yields its URL."""
    programs = _programs()
    # Not pytest's own folder, which is closed to the server's user.
    with tempfile.TemporaryDirectory() as name:
        with _started(programs, pathlib.Path(name)) as url:
            yield url


@contextlib.contextmanager
def _started(programs: pathlib.Path, folder: pathlib.Path) -> Iterator[str]:
    as_user = []
    if os.geteuid() == 0:  # the server refuses to be run by root
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    initdb = [programs / "initdb", "-D", data, "-A", "trust", "-U", "tester"]
    _run([*as_user, *initdb])
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    pg_ctl = [*as_user, programs / "pg_ctl", "-D", data]
    _run([*pg_ctl, "-l", folder / "log", "-o", options, "-w", "start"])
    try:
        yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
    finally:
        _run([*pg_ctl, "-m", "immediate", "stop"])


def _run(command: list) -> None:
    """Runs a program; what it says of a failure is in the error."""
    # Not a pipe for the output: the server would keep it open.
    done = subprocess.run(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}"


def _programs() -> pathlib.Path:
    """The folder of initdb and pg_ctl, installed if need be."""
    if not _found():
        for command in ("update -qq", "install -y -qq postgresql"):
            done = subprocess.run(
                ["apt-get", *command.split()],
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"PostgreSQL cannot be installed: {done.stderr.strip()}")
    return _found()[-1]


def _found() -> list[pathlib.Path]:
    return sorted(
        path.parent for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
    )
