"""The pictures show what they say, and their names do not lie on each other."""

import io
import itertools
import random

import numpy as np
import pytest
from PIL import Image

from mobilenets.networks import published_curves
from mobilenets.sweeps.report import (
    labels,
    panels,
    pictures,
    published_panel,
    sweep_panel,
    training_panel,
    values_panel,
)
from mobilenets.sweeps.report.entries import aspects, group
from mobilenets.sweeps.report.looks import PALETTE, looks
from tests.sweeps.made_up import result


def drawn(results, latencies=None):
    """The pictures by name."""
    entries = group(results, latencies or {})
    return {picture.name: picture for picture in pictures.draw(entries)}


def size(picture):
    return Image.open(io.BytesIO(picture.png)).size


def test_each_cost_that_is_known_has_a_picture():
    results = [result(0), result(1, madds=2_000, parameters=1_000)]
    assert list(drawn(results)) == [
        "accuracy_madds",
        "accuracy_parameters",
        "accuracy_values",
        "training_curves",
    ]
    assert "accuracy_latency" in drawn(results, {1: 0.001})


def test_a_cost_that_all_have_in_common_is_not_drawn():
    results = [result(0), result(1, parameters=1_000)]
    assert "accuracy_madds" not in drawn(results)
    assert "accuracy_parameters" in drawn(results)


def test_one_evaluation_makes_no_curve():
    results = [result(i, records=[{"step": 5, "val/ema/top1": 0.5}]) for i in range(2)]
    assert "training_curves" not in drawn(results)


def test_values_lie_by_their_size_or_side_by_side_and_lines_join_what_they_change(axis):
    values = [
        {"optimizer.name": name, "optimizer.learning_rate": rate}
        for name in ("sgd", "adamw")
        for rate in (1e-1, 1e-3)
    ]
    results = [result(i, 0.1 * i, values=v) for i, v in enumerate(values)]
    entries = group(results, {})
    varied, look = aspects(entries), looks(entries)
    values_panel.draw(axis, "learning_rate", varied, entries, look)
    assert axis.get_xscale() == "log"
    *points, sgd, adamw = axis.lines
    assert [p.get_xdata()[0] for p in points] == [1e-1, 1e-3, 1e-1, 1e-3]
    assert sgd.get_xydata() == pytest.approx(np.array([[1e-3, 10], [1e-1, 0]]))
    assert adamw.get_xydata() == pytest.approx(np.array([[1e-3, 30], [1e-1, 20]]))
    axis.clear()
    values_panel.draw(axis, "name", varied, entries, look)
    assert [p.get_xdata()[0] for p in axis.lines[:4]] == [0, 0, 1, 1]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["sgd", "adamw"]


@pytest.mark.parametrize(
    ("values", "scale"),
    [((1e-3, 4e-3, 9e-3), "log"), ((0.25, 1.0, 1.4), "linear")],  # rates, widths
)
def test_a_decade_of_rates_is_logarithmic(axis, values, scale):
    entries = group([result(i, values={"x": v}) for i, v in enumerate(values)], {})
    values_panel.draw(axis, "x", aspects(entries), entries, looks(entries))
    assert axis.get_xscale() == scale


def test_points_without_an_accuracy_are_not_drawn():
    assert not drawn([result(0, None, state="waiting"), result(1, 0.3, state="failed")])


def test_a_legend_has_only_what_is_drawn(monkeypatch):
    used = []
    monkeypatch.setattr(
        pictures, "looks", lambda entries: used.append(looks(entries)) or used[-1]
    )
    waiting = result(2, None, state="waiting")
    failed = result(3, 0.3, state="failed")
    assert drawn([result(0), result(1), waiting, failed])
    assert [list(look.colours) for look in used] == [["0", "1"]]


def test_a_front_of_one_point_is_seen(axis):
    entries = group([result(0, 0.8, madds=1_000), result(1, 0.7, madds=2_000)], {})
    sweep_panel.draw(axis, "madds", "cost", entries, looks(entries))
    point, _, front = axis.lines
    assert front.get_xydata().tolist() == point.get_xydata().tolist()
    assert front.get_marker() == "o" and front.get_markerfacecolor() == "none"
    assert front.get_markersize() > point.get_markersize()


def test_published_networks_off_the_front_have_names_too():
    curves = published_curves.of_networks({"mobilenet_v3_small"})
    figure = panels.new_figure(panels.WIDTH)
    axis = figure.subplots()
    published_panel.draw(axis, curves, looks(group([result(0)], {})))
    published_panel.name(axis, curves)
    points = [(n.million_madds, n.top1) for c in curves for n in c.networks]
    off_front = [
        network.label
        for curve in curves
        for network in curve.networks
        if any(m <= network.million_madds and top1 > network.top1 for m, top1 in points)
    ]
    assert off_front
    assert {t.get_text() for t in axis.texts} & set(off_front)


def test_a_description_names_the_front_and_not_what_is_pruned():
    results = [
        result(0, 0.9, state="pruned", madds=1_000),
        result(1, 0.7, madds=2_000),
        result(2, 0.8, madds=3_000),
    ]
    description = drawn(results)["accuracy_madds"].description
    assert description.startswith("Accuracy of 3 networks against multiply-adds")
    assert "by rising cost: 1 with 70.0 %, 2 with 80.0 %." in description


def test_published_networks_of_each_family_stand_beside_the_madds_alone():
    v2 = drawn([result(0)])
    unpublished = drawn([result(0, network="se_mobilenet_v1")])
    both = drawn([result(0), result(1, network="efficientnet_b1", madds=5)])
    wide, _ = size(v2["accuracy_madds"])
    narrow, _ = size(unpublished["accuracy_madds"])
    assert wide == 2 * narrow
    assert size(v2["accuracy_parameters"])[0] == narrow
    assert "networks of MobileNetV2 on ImageNet" in v2["accuracy_madds"].description
    assert "published" not in unpublished["accuracy_madds"].description
    description = both["accuracy_madds"].description
    assert "MobileNetV2, EfficientNet on ImageNet" in description


@pytest.mark.parametrize(
    "changes",
    [
        {"madds": 5_000_000},  # the same in all
        {"values": {"name": r"no formula: $\frac$ _"}},
        {"state": "unfinished"},
        {"records": [{"step": 1, "train/loss": 2.0}]},
    ],
    ids=str,
)
def test_odd_sweeps_are_drawn(changes):
    results = [result(i, 0.5 + i / 100, madds=10 ** (4 + i)) for i in range(3)]
    odd = [result(3 + i, 0.6, **({"madds": 9_999} | changes)) for i in range(3)]
    assert drawn(results + odd)
    assert drawn(odd)


def test_many_values_of_everything_are_drawn():
    draw = random.Random(0)
    results = [
        result(
            i,
            draw.random(),
            madds=draw.randint(10**6, 10**9),
            values={"rate": draw.random(), "name": f"name {i}", "a": i % 2, "b": i % 3},
        )
        for i in range(40)
    ]
    assert drawn(results)
    look = looks(group(results, {}))
    assert (look.coloured, look.marked, look.named) == ("rate", "a", "number")
    assert len(look.colours) < len(PALETTE)  # a legend has room for them
    assert look[group(results, {})[7]].name == "#7"


def test_the_curve_of_an_entry_is_of_the_steps_that_its_seeds_share():
    logs = [{10: 0.1, 20: 0.2, 30: 0.3}, {10: 0.3, 20: 0.4}]
    results = [
        result(
            i,
            values={"seed": i},
            records=[{"step": s, "val/ema/top1": v} for s, v in log.items()],
        )
        for i, log in enumerate(logs)
    ]
    (entry,) = group(results, {})
    assert [(e.step, e.accuracies) for e in training_panel.evaluations(entry)] == [
        (10, (0.1, 0.3)),
        (20, (0.2, 0.4)),
    ]


@pytest.fixture
def axis():
    figure = panels.new_figure(width=6)
    axis = figure.subplots()
    axis.set(xlim=(0, 1), ylim=(0, 1))
    return axis


def test_what_is_pruned_is_hollow_and_does_not_press_the_others_flat(axis):
    results = [
        result(0, 0.80, madds=1_000),
        result(1, 0.90, madds=2_000),
        result(2, 0.85, madds=3_000, state="pruned"),
        result(3, 0.10, madds=4_000, state="pruned"),
    ]
    entries = group(results, {})
    sweep_panel.draw(axis, "madds", "cost", entries, looks(entries))
    *points, front = axis.lines
    assert [(p.get_xdata()[0], p.get_markerfacecolor() == "none") for p in points] == [
        (1_000, False),
        (2_000, False),
        (3_000, True),
        (4_000, True),
    ]
    heights = [p.get_ydata()[0] for p in points]
    assert heights[:3] == [80, 90, 85]
    assert 70 < heights[3] < 80
    assert list(front.get_xydata()[:, 0]) == [1_000, 2_000]


def test_the_seeds_of_an_entry_are_a_point_at_their_mean_with_a_bar(axis):
    accuracies = [0.80, 0.86, 0.89]
    results = [result(i, a, values={"seed": i}) for i, a in enumerate(accuracies)]
    entries = group(results, {})
    sweep_panel.draw(axis, "madds", "cost", entries, looks(entries))
    assert axis.lines[0].get_ydata() == pytest.approx([85])
    (bars,) = axis.containers
    (segment,) = bars.lines[2][0].get_segments()
    assert segment[:, 1] == pytest.approx([80, 89])


@pytest.mark.parametrize("seed", range(5))
def test_names_lie_inside_and_on_nothing(axis, seed):
    draw = random.Random(seed)
    points = [(draw.random(), draw.random()) for _ in range(60)]
    axis.plot(*zip(*points, strict=True), "o")
    names = [(x, y, f"0.75, {i}") for i, (x, y) in enumerate(points)]
    written = labels.place(axis, names, [(point, point) for point in points])
    assert len(written) > 10
    boxes = [label.get_window_extent() for label in written]
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)
    for box in boxes:
        assert axis.bbox.x0 <= box.x0 and box.x1 <= axis.bbox.x1
        assert axis.bbox.y0 <= box.y0 and box.y1 <= axis.bbox.y1
        assert not box.count_contains(axis.transData.transform(points))


def test_a_name_stands_where_it_was_measured_when_the_picture_is_saved(axis):
    (label,) = labels.place(axis, [(0.5, 0.5, "a name")], [((0.5, 0.5), (0.5, 0.5))])
    before = label.get_window_extent().bounds
    axis.figure.savefig(io.BytesIO(), format="png")
    assert label.get_window_extent().bounds == pytest.approx(before)


def test_names_in_a_column_keep_their_order_and_are_not_above_their_points(axis):
    draw = random.Random(0)
    ends = [(0.5, 0.5 + draw.random() / 10, f"name {i}") for i in range(60)]
    written = labels.place_in_column(axis, ends)
    assert 10 < len(written) < 60
    by_height = sorted(ends, key=lambda end: -end[1])
    assert [label.get_text() for label in written] == [
        text for _, _, text in by_height[: len(written)]
    ]
    boxes = [label.get_window_extent() for label in written]
    for above, below in itertools.pairwise(boxes):
        assert below.y1 <= above.y0
    for box, (x, y, _) in zip(boxes, by_height, strict=False):
        right, height = axis.transData.transform((x, y))
        assert box.x0 > right
        assert (box.y0 + box.y1) / 2 <= height + 1
    assert boxes[-1].y0 >= axis.bbox.y0


def test_a_name_without_room_is_left_out(axis):
    everywhere = [((0.0, y / 100), (1.0, y / 100)) for y in range(101)]
    assert not labels.place(axis, [(0.5, 0.5, "a name")], everywhere)
