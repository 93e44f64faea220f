"""How the pages of reports are made from their templates: one style for all."""

import base64
import importlib.resources
from typing import Any

import jinja2


def render(room: str, template: str, **values: Any) -> str:
    """A page that needs no other file.

    Args:
      room: the package that has the template, "mobilenets.sweeps.report".
      template: its name. It has the values, and "style" for `{{ style|safe }}`.
      **values: what it shows; texts are escaped.
    """
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = (importlib.resources.files(room) / template).read_text("utf-8")
    style = importlib.resources.files("mobilenets.sweeps.report") / "page.css"
    return environment.from_string(text).render(
        style=style.read_text("utf-8"), **values
    )


def embedded(png: bytes) -> str:
    """A picture as the text in `src="data:image/png;base64,…"`."""
    return base64.b64encode(png).decode()
