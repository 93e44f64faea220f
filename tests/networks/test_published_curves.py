"""The published curves hold the rows of published.csv, all of their sources."""

import pytest

from mobilenets.networks import complexity
from mobilenets.networks.published import ROWS
from mobilenets.networks.published_curves import CURVES

NETWORKS = [network for curve in CURVES for network in curve.networks]


def same_network(network, row):
    return (network.architecture, network.options, str(network.resolution)) == (
        row.architecture,
        row.options,
        row.resolution,
    )


@pytest.mark.parametrize(
    "network", NETWORKS, ids=lambda n: f"{n.architecture} {n.label}, {n.source}"
)
def test_a_network_is_as_its_source_has_it(network):
    (row,) = [
        row
        for row in ROWS
        if same_network(network, row) and row.source == network.source
    ]
    assert network.top1 == float(row.published_top1)
    if row.million_madds:
        assert network.million_madds == float(row.million_madds)
    else:  # nobody else has counted it
        madds = complexity.madds(row.spec()) / 1e6
        assert network.million_madds == pytest.approx(madds, abs=0.05)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.family + curve.whose)
def test_a_curve_leaves_out_no_row_of_its_sources(curve):
    sources = {(network.architecture, network.source) for network in curve.networks}
    rows = [row for row in ROWS if (row.architecture, row.source) in sources]
    for row in rows:
        assert [
            network
            for network in curve.networks
            if same_network(network, row) and network.top1 == float(row.published_top1)
        ], row


def test_each_label_stands_for_one_network_of_its_curve():
    for curve in CURVES:
        assert len({n.label for n in curve.networks}) == len(curve.networks)
