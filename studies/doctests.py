"""An extension of griffe: examples in docstrings become blocks of code in the site."""

import re
from typing import Any

import griffe

# Lines from >>> to the end of their paragraph.
_EXAMPLE = re.compile(r"^( *)(>>> .*(?:\n *\S.*)*)", re.MULTILINE)


class Doctests(griffe.Extension):
    """Puts each example between fences."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called once for each module, class, function and attribute."""
        if obj.docstring:
            text = _EXAMPLE.sub(r"\1```pycon\n\1\2\n\1```", obj.docstring.value)
            obj.docstring.value = text
