"""Processes of the toy program, each of which starts in a second, not in ten.

They are forked from a server that has imported all.
"""

import multiprocessing
import os
import sys
import time

from tests import toy_program

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.toy_program"])


def started(function, *arguments):
    """A process that calls a function."""
    process = _context.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


class Program:
    """The toy program with these words of a command line, its output in a file."""

    def __init__(self, log, *words):
        self._log = log
        log.write_text("")
        self._process = started(_run, str(log), tuple(map(str, words)))

    @property
    def log(self):
        return self._log.read_text()

    def wait_for(self, text, seconds=200):
        """Until it has printed this."""
        end = time.monotonic() + seconds
        while text not in self.log:
            assert time.monotonic() < end and self._process.is_alive(), self.log
            time.sleep(0.02)

    def send(self, number):
        os.kill(self._process.pid, number)

    def ends(self, seconds):
        """Its exit code, within so many seconds."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, self.log
        return self._process.exitcode


def _run(log, words):
    with open(log, "wb") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    sys.argv = ["toy_program", *words]
    toy_program.main()
