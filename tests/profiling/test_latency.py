"""What is measured and in which order; no time is tested."""

import jax.numpy as jnp
import pytest

from mobilenets import UserError, get_spec
from mobilenets.networks.spec import with_backbone
from mobilenets.profiling import latency
from mobilenets.profiling.latency import Latency, Net


def test_the_result_is_the_median_of_the_rounds():
    assert Latency((3.0, 1.0, 2.0, 50.0, 2.5)).median == 2.5


def test_networks_have_their_turns_in_a_changing_order(monkeypatch):
    turns = []
    specs = {
        f"at {size}": get_spec("mobilenet_v1", resolution=size) for size in (32, 64, 96)
    }
    monkeypatch.setattr(
        Net,
        "timed",
        lambda net, batch: lambda: turns.append((net.spec.resolution, batch)),
    )
    nets = {name: Net(spec) for name, spec in specs.items()}
    measured = latency.measure(nets, batch=3, rounds=5, seconds=0)
    assert set(measured) == set(nets)
    assert all(len(found.rounds) == 5 for found in measured.values())
    rounds = [tuple(turns[i : i + 3]) for i in range(0, 15, 3)]
    assert all(sorted(turn) == [(32, 3), (64, 3), (96, 3)] for turn in rounds)
    assert len(set(rounds)) > 1


def test_a_call_computes_the_logits_of_its_batch():
    spec = get_spec("mobilenet_v1", width_multiplier=0.25, resolution=32)
    spec = with_backbone(spec, blocks=spec.backbone.blocks[:1])
    logits = Net(spec, 7).timed(batch=2)()
    assert logits.shape == (2, 7) and jnp.ptp(logits) > 0


def test_images_larger_than_any_memory_are_met_with_a_sentence():
    net = Net(get_spec("mobilenet_v1", width_multiplier=0.25, resolution=2**14))
    with pytest.raises(UserError, match=r"16384 pixels and a batch of 100000 do not"):
        latency.measure({"": net}, batch=100_000)


def test_a_turn_goes_on_for_its_seconds():
    assert sum(latency.durations(lambda: None, 0.01)) >= 0.01
    assert len(latency.durations(lambda: None, 0.0)) == 1


def test_benchmark_prints_each_network(monkeypatch, capsys):
    from mobilenets.cli import main as cli

    monkeypatch.setattr(
        latency,
        "measure",
        lambda nets, batch, tell: {
            name: Latency((0.004, 0.002, 0.009)) for name in nets
        },
    )
    words = "benchmark mobilenet_v1 mobilenet_v2 --batch 2 --resolution 96".split()
    monkeypatch.setattr("sys.argv", ["mobilenets", *words])
    with pytest.raises(SystemExit):
        cli.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = {line[0]: line[1:] for line in lines if line and "mobilenet" in line[0]}
    assert list(rows) == ["mobilenet_v1", "mobilenet_v2"]
    # The runtime and pixels; then milliseconds, and two images in 4 ms.
    assert rows["mobilenet_v1"][:2] == ["jax", "96"]
    assert rows["mobilenet_v1"][3:] == ["4", "2", "9", "500"]
