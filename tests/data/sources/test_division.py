"""Images are divided by their names alone."""

import unicodedata

from mobilenets.data.sources.division import side

NAMES = [f"class {i % 7}/{i}.jpg" for i in range(4000)]


def validation(fraction):
    return {name for name in NAMES if side(name, fraction) == "validation"}


def test_about_the_fraction_is_validation():
    # Six deviations of the binomial distribution are 0.024 and 0.047.
    assert abs(len(validation(0.07)) / 4000 - 0.07) < 0.024
    assert abs(len(validation(0.5)) / 4000 - 0.5) < 0.047
    assert validation(0.0) == set()


def test_a_larger_fraction_keeps_what_a_smaller_one_had():
    assert validation(0.1) < validation(0.2) < validation(0.9)


def test_a_name_is_the_same_however_a_file_system_writes_it():
    names = [f"é{i}\\1.jpg" for i in range(40)]
    for name in names:
        apart = unicodedata.normalize("NFD", name.replace("\\", "/"))
        assert side(apart, 0.5) == side(name, 0.5)
    assert len({side(name, 0.5) for name in names}) == 2
