"""SSD's crops keep what the paper says, against facts known without them."""

import numpy as np
import pytest

from mobilenets.config.schema import Expand, SsdCrop
from mobilenets.data.boxes import NO_BOXES, boxes_of
from mobilenets.data.ssd_operations import MIN_OVERLAPS, draw_canvas, draw_ssd_crop

WHOLE = (0, 0, 200, 100)
OBJECTS = boxes_of(  # rows first
    [[10, 20, 60, 90], [50, 120, 90, 180], [5, 10, 95, 190]], [0, 1, 2]
)
CENTERS = np.array([[35, 55], [70, 150], [50, 100]])


def overlap(patch, corners):
    """Counted pixel by pixel."""
    shown, box = np.zeros((2, 100, 200), bool)
    left, top, right, bottom = patch
    shown[top:bottom, left:right] = True
    y_min, x_min, y_max, x_max = corners.astype(int)
    box[y_min:y_max, x_min:x_max] = True
    return (shown & box).sum() / (shown | box).sum()


def patches(boxes, draws=1500, box=WHOLE, crop=None):
    rng = np.random.default_rng(0)
    crop = crop or SsdCrop()
    return [draw_ssd_crop(box, boxes, rng, crop) for _ in range(draws)]


def test_patches_lie_in_the_image_and_have_the_papers_sizes_and_shapes():
    drawn = np.array([p for p in patches(OBJECTS) if p != WHOLE])
    left, top, right, bottom = drawn.T
    assert (left >= 0).all() and (right <= 200).all() and (left < right).all()
    assert (top >= 0).all() and (bottom <= 100).all() and (top < bottom).all()
    w, h = (right - left) / 200, (bottom - top) / 100
    assert 0.09 < (w * h).min() < 0.2 and (w * h).max() > 0.9
    assert 0.49 < (w / h).min() < 0.7 and 1.5 < (w / h).max() < 2.04


class Chosen(np.random.Generator):
    """Draws one of the choices, then at random."""

    choice = None

    def integers(self, *args):
        if self.choice is None:
            return super().integers(*args)
        choice, self.choice = self.choice, None
        return choice


@pytest.mark.parametrize("choice", range(7))
def test_each_choice_keeps_its_promise(choice):
    """0 is the whole image, 1 to 5 the overlaps, 6 any patch with an object."""
    rng = Chosen(np.random.PCG64(1))
    different = set()
    for _ in range(60):
        rng.choice = choice
        patch = draw_ssd_crop(WHOLE, OBJECTS, rng, SsdCrop())
        if patch == WHOLE:
            continue
        different.add(patch)
        left, top, right, bottom = patch
        inside = ((CENTERS > (top, left)) & (CENTERS < (bottom, right))).all(axis=1)
        assert inside.any()
        if choice in range(1, 6):
            best = max(overlap(patch, corners) for corners in OBJECTS.corners)
            assert best >= MIN_OVERLAPS[choice - 1] - 1e-9
    assert (not different) if choice == 0 else different


def test_a_smallest_area_of_one_leaves_the_image_whole():
    assert {*patches(OBJECTS, 100, crop=SsdCrop(min_area=1.0))} == {WHOLE}


def test_without_objects_the_image_stays_whole():
    crowd = boxes_of([[10, 20, 60, 90]], [0], crowd=[True])
    assert {*patches(NO_BOXES, 50), *patches(crowd, 50)} == {WHOLE}


def test_the_tries_end_where_no_patch_is_good_enough():
    """One pixel in a corner overlaps by 1 / 2000 with the smallest patch."""
    tiny = boxes_of([[0, 0, 1, 1]], [0])
    drawn = patches(tiny, 200)
    assert drawn.count(WHOLE) > 150


def test_a_patch_of_a_canvas_may_reach_beyond_the_image():
    canvas = (-300, -150, 500, 250)
    drawn = np.array(patches(OBJECTS, 400, canvas))
    assert drawn[:, 0].min() < -20 and drawn[:, 3].max() > 120
    assert (drawn[:, :2] >= canvas[:2]).all() and (drawn[:, 2:] <= canvas[2:]).all()


@pytest.mark.parametrize("box", [WHOLE, (0, 0, 1, 1), (0, 0, 3, 500)])
def test_any_image_has_a_patch(box):
    _, _, width, height = box
    objects = boxes_of([[0, 0, height, width]], [0])
    drawn = np.array(patches(objects, 200, box))
    assert (drawn[:, :2] < drawn[:, 2:]).all()
    assert (drawn[:, 2:] <= (width, height)).all() and (drawn >= 0).all()


def test_half_of_the_canvases_are_larger_and_contain_the_image():
    rng = np.random.default_rng(0)
    drawn = np.array([draw_canvas(WHOLE, rng, Expand()) for _ in range(2000)])
    left, top, right, bottom = drawn.T
    same = (drawn == WHOLE).all(axis=1)
    assert 0.45 < same.mean() < 0.55
    assert (left <= 0).all() and (right >= 200).all()
    assert (top <= 0).all() and (bottom >= 100).all()
    w, h = right - left, bottom - top
    np.testing.assert_allclose(w / h, 2, atol=0.02)  # the shape of the image
    assert 3.9 < (w / 200).max() <= 4
    # Placed anywhere: as often near one side as near the other.
    placed = (-left / (w - 200).clip(1))[w > 210]
    assert 0.45 < placed.mean() < 0.55 and placed.min() < 0.02 and placed.max() > 0.98
