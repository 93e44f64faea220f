"""The pages in docs/ hold what the code says now."""

import pytest

from docs.make_tables import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_its_generator_writes(name):
    assert (FOLDER / name).read_text() == PAGES[name](), (
        "run python -m docs.make_tables"
    )
