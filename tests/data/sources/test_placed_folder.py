"""Folders of photographs whose EXIF data have their place."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from mobilenets import UserError
from mobilenets.config.schema import FolderDataset
from mobilenets.data.sources.opening import open_source
from mobilenets.data.sources.placed_folder import place_in_exif
from mobilenets.geography.sphere import Place

# As cameras write them: degrees, minutes and seconds.
SYDNEY = {1: "S", 2: (33, 51, 24.48), 3: "E", 4: (151, 12, 55.08)}
LIMA = {1: "S", 2: (12, 3, 0), 3: "W", 4: (77, 1.5, 0)}
PARIS = {1: "N", 2: (48, 51, 30.24), 3: "E", 4: (2, 17, 40.2)}


def save(file, gps=None, **options):
    """A black photograph with these GPS data."""
    exif = Image.Exif()
    if gps is not None:
        exif[ExifTags.IFD.GPSInfo] = gps
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(file, exif=exif, **options)
    return file


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    ("gps", "place"),
    [
        (SYDNEY, (-33.8568, 151.2153)),
        (LIMA, (-12.05, -77.025)),
        (PARIS, (48.8584, 2.2945)),
    ],
)
def test_a_place_is_read_in_degrees(tmp_path, suffix, gps, place):
    found = place_in_exif(save(tmp_path / f"a.{suffix}", gps))
    assert found == pytest.approx(place, abs=1e-6)


@pytest.mark.parametrize(
    "gps",
    [
        None,
        {},
        {key: value for key, value in PARIS.items() if key != 3},  # east or west?
        {**PARIS, 1: "X"},
        {**PARIS, 2: (48, 51)},
        {**PARIS, 2: (91, 0, 0)},
        {**PARIS, 2: (0, 0, 0), 4: (0, 0, 0)},  # of a camera that does not know it
    ],
)
def test_what_is_no_place_is_unknown(tmp_path, gps):
    assert np.isnan(place_in_exif(save(tmp_path / "a.jpg", gps))).all()


def test_a_file_that_is_no_image_has_no_place(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    assert np.isnan(place_in_exif(tmp_path / "a.jpg")).all()


@pytest.fixture
def photos(tmp_path):
    save(tmp_path / "train/b.jpg", PARIS)
    save(tmp_path / "train/rome/a.jpg")
    save(tmp_path / "train/sydney/a.jpg", SYDNEY)
    save(tmp_path / "validation/a.jpg", LIMA)
    return tmp_path


def opened(folder, split, labelled="all", **options):
    dataset = FolderDataset(folder=str(folder), **options)
    return open_source(dataset, split, "place", to_train=True, labelled=labelled)


def test_photographs_without_a_place_are_left_out_and_counted(photos, capsys):
    source = opened(photos, "train")
    printed = capsys.readouterr().out.replace("\n", " ")
    assert "split train, has 3 photographs. Left out, without a place in" in printed
    assert "their EXIF data: 1." in printed
    np.testing.assert_allclose(source.places, [(48.8584, 2.2945), (-33.8568, 151.2153)])
    assert [source[i].target for i in range(2)] == [Place(*p) for p in source.places]
    files = [photos / "train/b.jpg", photos / "train/sydney/a.jpg"]
    assert [source[i].image for i in range(len(source))] == [
        file.read_bytes() for file in files
    ]
    assert [source[i].origin for i in range(2)] == [str(file) for file in files]


def test_with_a_teacher_they_have_no_place(photos):
    places = opened(photos, "train", labelled="none").places
    assert np.isnan(places).any(axis=1).tolist() == [False, True, False]


def test_photographs_are_divided_by_their_names(photos):
    parts = [
        opened(photos, split, eval_fraction=0.5).places.tolist()
        for split in ("train", "validation")
    ]
    assert all(parts)
    assert len(parts[0] + parts[1]) == 3
    whole = opened(photos / "train", "all").places.tolist()
    assert len(whole) == 2


def test_a_split_that_is_not_there_is_one_sentence(photos):
    with pytest.raises(UserError, match=r"'valid' of .*: did you mean 'validation'"):
        opened(photos, "valid")
    with pytest.raises(
        UserError, match=r"no folder train\. Give --config.dataset.eval_"
    ):
        opened(photos / "train", "train")
    with pytest.raises(UserError, match=r"dataset.folder .*nowhere is not a folder"):
        opened(photos / "nowhere", "train")
    with pytest.raises(
        UserError, match=r"split rome, has no photograph with a place in its"
    ):
        opened(photos / "train", "rome")
