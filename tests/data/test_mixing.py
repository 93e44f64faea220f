"""Mixed batches, by hand and by their properties."""

import numpy as np
import pytest

from mobilenets.config.schema import CutMix, Flip, Mixup
from mobilenets.data import mixing


def make_batch(count=8, side=20):
    """Images of one colour each, ten times their number."""
    numbers = np.arange(count)
    return {
        "image": np.tile(
            (10 * numbers).astype(np.uint8)[:, None, None, None], (1, side, side, 3)
        ),
        "label": numbers.astype(np.int32),
        mixing.SEED: numbers.astype(np.int64),
    }


def mixed(*operations, count=8, **changes):
    return mixing.mix(make_batch(count) | changes, operations)


def test_only_what_mixes_is_a_mixer():
    assert mixing.mixer([Flip()]) is None
    operations = [Flip(), Mixup(), CutMix()]
    assert mixing.mixer(operations).keywords["operations"] == tuple(operations[1:])


def test_mixup_is_the_mean_of_neighbours_with_the_shares_of_their_labels():
    batch = mixed(Mixup(alpha=1.0), count=200)
    own, partner, share = (batch[k] for k in ("label", "partner_label", "share"))
    np.testing.assert_array_equal(own ^ 1, partner)
    np.testing.assert_array_equal(share[::2], share[1::2])
    first = np.array([10 * own % 256, 10 * partner % 256])
    expected = share * first[0] + (1 - share) * first[1]
    found = batch["image"][:, 0, 0, 0]
    assert (batch["image"] == found[:, None, None, None]).all()
    assert np.abs(found - expected).max() <= 0.5  # rounded to the nearest
    assert batch["image"].dtype == np.uint8 and share.dtype == np.float32


def test_shares_are_distributed_as_beta():
    """Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1))."""
    for alpha in (0.2, 1.0, 4.0):
        share = mixed(Mixup(alpha=alpha), count=4000)["share"][::2]
        assert share.mean() == pytest.approx(0.5, abs=0.04)
        assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.15)


def test_cutmix_has_a_box_of_the_neighbour_as_large_as_its_share():
    batch = mixed(CutMix(), count=400)
    areas = []
    for i, image in enumerate(batch["image"]):
        own = (image == 10 * i % 256).all(-1)
        assert own.mean() == pytest.approx(batch["share"][i], abs=1e-6)
        box = ~own
        assert (image[box] == 10 * (i ^ 1) % 256).all()
        if box.any():
            rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
            assert box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        areas.append(box.mean())
    assert min(areas) < 0.02 and max(areas) > 0.8
    # Beta(1, 1) is uniform, and a box whose centre is uniform loses what is outside:
    # along a side of 1 a part of length l loses l^2 / 4 of it on average, so the mean
    # area is that of (l - l^2 / 4)^2 with l^2 uniform: 1/2 - 1/5 + 1/48.
    assert np.mean(areas) == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=0.05)


def test_a_pair_is_mixed_in_one_way_or_not():
    batch = mixed(
        Mixup(alpha=8.0, probability=0.3), CutMix(probability=0.3), count=2000
    )
    pairs = batch["image"].reshape(1000, 2, -1)
    kinds = {"as it was": 0, "mixup": 0, "cutmix": 0}
    for i, share in enumerate(batch["share"][::2]):
        values = len(np.unique(pairs[i, 0]))
        kinds["cutmix" if values == 2 else "as it was" if share == 1 else "mixup"] += 1
    assert 240 < kinds["mixup"] < 360
    assert 220 < kinds["cutmix"] < 360
    assert 340 < kinds["as it was"] < 480


def test_it_depends_on_the_pair_alone():
    operations = (Mixup(probability=0.5), CutMix(probability=0.5))
    whole = mixing.mix(make_batch(8), operations)
    part = mixing.mix({k: v[4:6] for k, v in make_batch(8).items()}, operations)
    for key, values in part.items():
        np.testing.assert_array_equal(values, whole[key][4:6])
    others = mixed(*operations, **{mixing.SEED: np.arange(8) + 100})
    assert (others["share"] != whole["share"]).any()


def test_without_shares_nothing_changes():
    for operation in (Mixup(alpha=0.0), CutMix(alpha=0.0)):
        batch = mixed(operation)
        np.testing.assert_array_equal(batch["image"], make_batch()["image"])
        assert (batch["share"] == 1).all()


def test_a_batch_is_not_changed_in_place():
    batch = make_batch()
    mixing.mix(batch, [Mixup(alpha=4.0)])
    np.testing.assert_array_equal(batch["image"], make_batch()["image"])
    assert mixing.SEED in batch
