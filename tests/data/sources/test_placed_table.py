"""Tables of places: what they say, and every mistake that they may have."""

import numpy as np
import pytest

from mobilenets import UserError
from mobilenets.config.schema import NamedDataset, TableDataset
from mobilenets.data.sources.opening import open_source
from mobilenets.geography.sphere import Place

HEADER = "path,latitude,longitude\n"


@pytest.fixture
def folder(tmp_path):
    """Images that are never decoded: each file holds its own name."""
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def opened(folder, text, split="all", labelled="all", **options):
    (folder / "t.csv").write_text(text)
    dataset = TableDataset(table=str(folder / "t.csv"), **options)
    return open_source(dataset, split, "place", to_train=True, labelled=labelled)


def test_a_table_has_the_place_of_each_image_in_its_order(folder):
    text = "taken,longitude,path,latitude\n"
    text += "1999, 2.2945,b.jpg,48.8584\n,-180,a.jpg,-90\n2001,180,c.jpg,9e1\n"
    source = opened(folder, text)
    expected = [(48.8584, 2.2945), (-90, -180), (90, 180)]
    np.testing.assert_array_equal(source.places, expected)
    assert [source[i].image for i in range(3)] == [b"b.jpg", b"a.jpg", b"c.jpg"]
    assert [source[i].target for i in range(3)] == [Place(*p) for p in expected]
    assert isinstance(source[0].target, Place)
    assert source[2].origin == str(folder / "c.jpg")


def test_rows_of_other_splits_need_no_place(folder):
    text = "path,split,latitude,longitude\na.jpg,train,1,2\nb.jpg,test,,\n"
    source = opened(folder, text, split="train")
    np.testing.assert_array_equal(source.places, [(1, 2)])
    with pytest.raises(UserError, match=r"line 3: latitude is empty: fill it in, or"):
        opened(folder, text, split="test")


def test_with_a_teacher_rows_need_no_place(folder):
    text = HEADER + "a.jpg,,\nb.jpg,1,2\n"
    places = opened(folder, text, labelled="some").places
    np.testing.assert_array_equal(places, [(np.nan, np.nan), (1, 2)])
    for rows, sentence in (
        ("a.jpg,1,", "line 2: longitude is empty"),
        ("a.jpg,,\nb.jpg,139.7,35.7", "exchange the names of the two columns"),
    ):
        with pytest.raises(UserError, match=sentence):
            opened(folder, f"{HEADER}{rows}\n", labelled="none")


def test_images_of_a_table_are_divided_by_their_names(folder):
    text = HEADER + "a.jpg,1,2\nb.jpg,3,4\nc.jpg,5,6\n"
    parts = [
        opened(folder, text, split=split, eval_fraction=0.5).places.tolist()
        for split in ("train", "validation")
    ]
    assert sorted(parts[0] + parts[1]) == [[1, 2], [3, 4], [5, 6]]
    assert all(parts)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        # out of range
        ("a.jpg,1,2\nb.jpg,90.5,100", "line 3: latitude is 90.5, but must be from -90"),
        ("a.jpg,1,2\nb.jpg,-91,3", "All values of longitude are possible latitudes"),
        ("a.jpg,1,-180.01", "line 2: longitude is -180.01, but must be from -180 to"),
        ("a.jpg,1,230", "to 180. Subtract 360 from longitudes above 180."),
        # swapped columns: of Tokyo and Paris
        (
            "a.jpg,2.3,48.9\nb.jpg,139.7,35.7",
            "line 3: latitude is 139.7, but must be from -90 to 90. All values of "
            "longitude are possible latitudes: exchange the names of the two columns "
            "if they are swapped.",
        ),
        # missing or no numbers
        ("a.jpg,,2", "line 2: latitude is empty: fill it in, or remove the row."),
        ("a.jpg,1,", "line 2: longitude is empty: fill it in, or remove the row."),
        ("a.jpg,48°N,2", "latitude is '48°N', but must be a number of degrees, such"),
        ("a.jpg,nan,2", "latitude is 'nan', but must be a number of degrees"),
        ("a.jpg,1,inf", "longitude is 'inf', but must be a number of degrees"),
        ("a.jpg,1", "line 2: there are 2 values for the 3 columns."),
        ("d.jpg,1,2", "line 2: there is no file"),
        ("a.jpg,1,2\na.jpg,3,4", "line 3: the path a.jpg is also in line 2."),
    ],
)
def test_a_wrong_row_is_one_sentence(folder, rows, sentence):
    with pytest.raises(UserError) as error:
        opened(folder, HEADER + rows + "\n")
    assert sentence in str(error.value)
    assert str(folder / "t.csv") in str(error.value)


def test_wrong_latitudes_beside_far_longitudes_are_not_called_swapped(folder):
    with pytest.raises(UserError) as error:
        opened(folder, HEADER + "a.jpg,1,120\nb.jpg,91,3\n")
    assert "swapped" not in str(error.value)


@pytest.mark.parametrize("header", ["path,lat,lon", "path,latitude,lng", "path,a,b"])
def test_a_missing_column_is_named(folder, header):
    with pytest.raises(UserError, match=r"has no column (lat|long)itude.*in degrees"):
        opened(folder, f"{header}\na.jpg,1,2\n")


@pytest.mark.parametrize(
    "dataset",
    [
        NamedDataset(name="fashion_mnist_subset"),
        NamedDataset(name="fashion_collages"),
        NamedDataset(name="fashion_scenes"),
    ],
)
def test_data_without_places_are_refused(dataset):
    with pytest.raises(UserError, match=r"has no places.*path, latitude and longitude"):
        open_source(dataset, "train", "place")


@pytest.mark.parametrize("labels", ["class", "attributes", "boxes", "mask"])
def test_painted_places_are_for_geolocalization_alone(labels):
    dataset = NamedDataset(name="painted_places")
    with pytest.raises(UserError, match=r"painted_places has (no|a place)"):
        open_source(dataset, "train", labels)
