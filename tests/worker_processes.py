"""Processes of workers, found by their command lines and by the locks they hold."""

import pathlib
import time


def of_folder(module, folder):
    """The process numbers of the workers of a folder."""
    return [
        int(path.parent.name)
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
        if f"{module}\0{folder}\0" in _read(path)
    ]


def holds(worker, lock):
    """Whether a process has a lock file open; a folder stands for those in it."""
    links = pathlib.Path(f"/proc/{worker}/fd")
    try:
        opened = [link.readlink() for link in links.iterdir()]
    except OSError:  # what is open changes
        return False
    return any(path == lock or path.parent == lock for path in opened)


def wait_until(found, seconds=600):
    """Waits until a function finds something; that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if it := found():
            return it
        time.sleep(0.05)
    raise TimeoutError


def _read(path):
    try:
        return path.read_text()
    except OSError:  # the process has ended
        return ""
