"""What Linux says of the heap, in a process of its own: there is no way back."""

import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not pathlib.Path("/sys/kernel/mm/transparent_hugepage").exists(),
    reason="huge pages on demand are Linux's",
)

# Prints whether the mapping of a large block has the flag of huge pages, how many MB
# stay with the process when the block is freed, and after `give_back`; then the flag
# of another block. (NumPy asks for huge pages itself.)
SCRIPT = """
import ctypes, pathlib, re, sys
from mobilenets.runtime import host_memory

def new():
    return bytearray(b"1") * (100 * 2**20)

def in_huge_pages(block):
    middle = ctypes.addressof(ctypes.c_char.from_buffer(block)) + 50 * 2**20
    inside = False
    for line in pathlib.Path("/proc/self/smaps").read_text().splitlines():
        if header := re.match("([0-9a-f]+)-([0-9a-f]+) ", line):
            start, end = (int(address, 16) for address in header.groups())
            inside = start <= middle < end
        elif inside and line.startswith("VmFlags:"):
            return " hg" in line

def resident():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search("VmRSS: *\\t *([0-9]+)", status)[1]) / 1024

if "use" in sys.argv:
    host_memory.use_huge_pages()
before = resident()
block = new()
print(in_huge_pages(block))
del block
print(resident() - before)
host_memory.give_back()
print(resident() - before)
print(in_huge_pages(new()))
"""


# Prints how many pages are new to the process in each of some steps, which need 40 MB
# of temporaries.
STEPS = """
import resource, sys
import jax
from mobilenets.runtime import host_memory

if "use" in sys.argv:
    host_memory.use_huge_pages()

@jax.jit
def step(x):
    y = jax.lax.optimization_barrier(x + 1)  # is kept, as the maps of a network are
    return (y * y[::-1]).sum()

x = jax.numpy.ones(10**7)
for _ in range(2):
    step(x).block_until_ready()
host_memory.give_back()
step(x).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step(x).block_until_ready()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 4)
"""


def output(script, *arguments):
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


def run(*arguments):
    first, kept, given_back, second = output(SCRIPT, *arguments)
    return first == "True", float(kept), float(given_back), second == "True"


def test_a_step_takes_the_pages_of_the_one_before():
    (new,), (new_by_default,) = output(STEPS, "use"), output(STEPS)
    assert int(new_by_default) > 9_000  # 4 KB each
    assert int(new) < 500


def test_memory_is_in_huge_pages_and_kept_until_it_is_given_back():
    first, kept, given_back, second = run("use")
    assert first and second
    assert kept > 90 and given_back < 10


def test_giving_back_alone_changes_nothing_else():
    first, _, given_back, second = run()
    assert not first and not second
    assert given_back < 10
