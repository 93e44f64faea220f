"""Workers as processes."""

import os

import pytest

from mobilenets.workers import processes


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux binds to cores")
@pytest.mark.parametrize("workers", [1, 2, 1000])
def test_workers_share_the_cores(workers):
    cores = os.sched_getaffinity(0)
    shares = []
    for number in range(workers):
        with processes.share_of_cores(number, workers) as variables:
            shares.append(os.sched_getaffinity(0))
            assert variables == {"NPROC": str(len(cores))}
    assert os.sched_getaffinity(0) == cores == set.union(*shares)
    assert all(shares)
    assert max(map(len, shares)) == max(1, -(-len(cores) // workers))
