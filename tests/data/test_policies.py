"""AutoAugment and its successors against torchvision's and timm's, recorded."""

import collections
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from mobilenets.config.schema import (
    AutoAugment,
    Flip,
    Preprocessing,
    RandAugment,
    RandomErasing,
    TrivialAugment,
)
from mobilenets.data import policies
from mobilenets.data.operations import augment
from mobilenets.data.pixel_operations import GREY, OPERATIONS, cutout

GOLDEN = json.loads(
    (pathlib.Path(__file__).parent / "golden/augmentation.json").read_text()
)
SCALES = {
    "efficientnet": policies.EFFICIENTNET,
    "timm": policies.TIMM,
    "wide": policies.WIDE,
    "original": policies.POLICIES["original"][1],
}
ENHANCED = ("Color", "Contrast", "Brightness", "Sharpness")
SIDE = 331  # of the images for which the ranges were recorded
WHOLE = Preprocessing(crop_fraction=1.0)


def pixels_of(text):
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(20, 24, 3)


def noise(side=24, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(pixels)


def augmented(image, operation, seed=0):
    rng = np.random.default_rng(seed)
    return augment(image, rng, image.width, [operation], WHOLE)


@pytest.mark.parametrize("name", GOLDEN["operations"])
def test_an_operation_gives_the_pixels_of_the_reference(name):
    number, expected = GOLDEN["operations"][name]
    if name in ENHANCED:  # a change there, a factor here
        number = 1 + number
    if name.startswith("Translate"):  # the image moves the other way
        number = -number
    image = Image.fromarray(pixels_of(GOLDEN["image"]))
    out = np.asarray(OPERATIONS[name](image, number))
    assert (out != np.asarray(image)).any()
    np.testing.assert_array_equal(out, pixels_of(expected))


@pytest.mark.parametrize("scale", SCALES)
def test_a_level_is_the_number_of_the_source(scale):
    ranges = SCALES[scale].ranges
    compared = 0
    for recorded, by_level in GOLDEN["ranges"][scale].items():
        name = recorded.removesuffix("Increasing").removesuffix("Rel")
        if name not in ranges:
            assert scale == "original"  # of which the policy uses only some
            continue
        for level, expected in by_level.items():
            part = int(level) / SCALES[scale].top
            number = ranges[name].at(part, 1, 1 if scale == "timm" else SIDE)
            if scale in ("wide", "original") and name in ENHANCED:
                number -= 1  # a change there, a factor here
            assert number == pytest.approx(expected, abs=1e-4), (name, level)
            compared += 1
        if not by_level:
            assert ranges[name] is None
    assert compared > 40


def test_levels_beyond_ten_are_those_of_efficientnet():
    """M = 28 of B7, by hand from its code."""
    ranges = policies.EFFICIENTNET.ranges
    found = {n: r.at(2.8, -1, 600) for n, r in ranges.items() if r is not None}
    assert found == pytest.approx(
        {
            "Rotate": -84,
            "Posterize": 11,
            "Solarize": 716,
            **dict.fromkeys(ENHANCED, 5.14),
            "ShearX": -0.84,
            "ShearY": -0.84,
            "TranslateX": -280,
            "TranslateY": -280,
            "Cutout": 112,
            "SolarizeAdd": 308,
        }
    )
    image = noise()
    for name in ("Posterize", "Solarize"):
        out = OPERATIONS[name](image, found[name])
        np.testing.assert_array_equal(np.asarray(out), np.asarray(image))


@pytest.mark.parametrize("name", policies.POLICIES)
def test_a_policy_is_the_published_table(name):
    table, scale = policies.POLICIES[name]
    published = GOLDEN["policies"][name]
    assert len(table) == len(published) == 25
    for pair, reference in zip(table, published, strict=True):
        for (operation, probability, level), theirs in zip(
            pair, reference, strict=True
        ):
            assert operation == theirs[0].removesuffix("Rel")
            assert probability == theirs[1]
            if theirs[2] is not None:  # torchvision leaves out what has no effect
                assert level == theirs[2]
            else:
                assert scale.ranges[operation] is None


def test_cutout_covers_a_square_cut_off_at_the_border():
    out = np.asarray(cutout(Image.new("RGB", (10, 8)), 3, (1, 4)))
    expected = np.zeros((8, 10, 3), np.uint8)
    expected[1:7, :4] = GREY
    np.testing.assert_array_equal(out, expected)


def names_of(changes):
    return [change.keywords.get("name", "Cutout") for change in changes]


def test_auto_augment_draws_sub_policies_and_steps_by_their_probabilities():
    rng = np.random.default_rng(0)
    drawn = collections.Counter()
    draws = 20_000
    for _ in range(draws):
        drawn.update(names_of(policies.draw_auto_augment(rng, AutoAugment(), 32)))
    expected = collections.Counter()
    for pair in GOLDEN["policies"]["v0"]:
        for name, probability, _ in pair:
            expected[name.removesuffix("Rel")] += probability / 25
    assert set(drawn) == {name for name, part in expected.items() if part}
    for name, part in expected.items():
        # Five standard deviations.
        assert drawn[name] / draws == pytest.approx(part, abs=5 * (part / draws) ** 0.5)


@pytest.mark.parametrize(("scale", "count"), [("efficientnet", 16), ("timm", 15)])
def test_rand_augment_draws_each_operation_as_often(scale, count):
    rng = np.random.default_rng(0)
    operation = RandAugment(layers=3, magnitude=9.0, scale=scale, probability=0.5)
    draws = [policies.draw_rand_augment(rng, operation, 32) for _ in range(5000)]
    assert {len(changes) for changes in draws} == {0, 1, 2, 3}
    drawn = collections.Counter(n for changes in draws for n in names_of(changes))
    assert len(drawn) == count
    part = 0.5 * 3 * 5000 / count
    for number in drawn.values():
        assert number == pytest.approx(part, abs=5 * part**0.5)


def test_both_signs_are_drawn_as_often():
    rng = np.random.default_rng(0)
    numbers = [
        policies.draw_change("Rotate", 10, policies.TIMM, rng, 32).keywords["number"]
        for _ in range(1000)
    ]
    assert set(numbers) == {-30.0, 30.0}
    assert 420 < numbers.count(30.0) < 580


def test_trivial_augment_draws_every_operation_and_level():
    rng = np.random.default_rng(0)
    changes = [policies.draw_trivial_augment(rng, 32)[0] for _ in range(20_000)]
    names = collections.Counter(names_of(changes))
    assert len(names) == 14
    assert all(abs(n - 20_000 / 14) < 5 * (20_000 / 14) ** 0.5 for n in names.values())
    turns = [c.keywords["number"] for c in changes if c.keywords["name"] == "Rotate"]
    assert {round(abs(turn) / 4.5) for turn in turns} == set(range(31))


@pytest.mark.parametrize(
    "operation",
    [AutoAugment(), AutoAugment(policy="original"), RandAugment(), TrivialAugment()],
    ids=lambda o: getattr(o, "policy", o.name),
)
def test_an_image_keeps_its_size_and_is_the_same_for_a_seed(operation):
    image = noise()
    outs = [augmented(image, operation, seed) for seed in range(40)]
    assert {(out.shape, out.dtype) for out in outs} == {((24, 24, 3), np.dtype("u1"))}
    assert len({out.tobytes() for out in outs}) > 10
    for seed in range(10):
        np.testing.assert_array_equal(outs[seed], augmented(image, operation, seed))


def test_an_image_of_another_size_has_the_same_draws():
    """So that a teacher sees what the network sees, at its own size."""
    operations = [
        *(Flip(), RandAugment(layers=10, scale="efficientnet")),
        *(RandomErasing(probability=1.0), Flip()),
    ]
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :16] = 255
    image = Image.fromarray(pixels)
    for seed in range(20):
        states = []
        for side in (16, 24):
            rng = np.random.default_rng(seed)
            augment(image, rng, side, operations, WHOLE)
            states.append(rng.random())
        assert states[0] == states[1]


def test_erasing_covers_rectangles_in_their_ranges():
    """The image is one colour, which noise hardly ever has."""
    image = Image.new("RGB", (100, 100), (7, 7, 7))
    operation = RandomErasing(probability=0.4, min_area=0.05, max_area=0.3)
    areas, ratios, tops, values = [], [], [], []
    for seed in range(500):
        changed = (augmented(image, operation, seed) != 7).any(-1)
        if changed.any():
            rows, columns = (
                np.flatnonzero(changed.any(1)),
                np.flatnonzero(changed.any(0)),
            )
            height, width = len(rows), len(columns)
            assert (np.diff(rows) == 1).all() and (np.diff(columns) == 1).all()
            assert changed.sum() > 0.99 * height * width
            areas.append(height * width / 100**2)
            ratios.append(height / width)
            tops.append(rows[0])
            values.append(augmented(image, operation, seed)[changed].mean())
    assert 0.33 < len(areas) / 500 < 0.47
    assert 0.045 < min(areas) < 0.08 and 0.27 < max(areas) < 0.31
    assert 0.29 < min(ratios) < 0.5 and 2.0 < max(ratios) < 3.45
    assert abs(np.log(ratios).mean()) < 0.2  # as often high as wide
    assert min(tops) < 5 and max(tops) > 50
    assert 120 < np.mean(values) < 135  # uniform from 0 to 255
