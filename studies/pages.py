"""Where the pages are, and how a table is replaced in one that is written by hand."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
IMAGES = DOCS / "images"


def with_tables(page: str, tables: str, name: str = "tables") -> str:
    r"""The page with other tables between the two marks of that name.

    Raises:
      ValueError: the page does not have both marks.

    >>> with_tables("a <!-- x -->\nold\n<!-- end of x --> b", "new", "x")
    'a <!-- x -->\nnew\n<!-- end of x --> b'
    """
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    pattern = re.escape(begin) + ".*" + re.escape(end)
    page, count = re.subn(
        pattern, lambda _: f"{begin}{tables}{end}", page, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"the page has no marks of {name}")
    return page
