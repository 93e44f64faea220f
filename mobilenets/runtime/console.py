"""Where everything that a person sees is written."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator

import rich.console
import rich.progress

console = rich.console.Console(highlight=False, soft_wrap=True)


def shows_bars() -> bool:
    """Whether a progress bar can be drawn: on a terminal, or by widgets in a notebook.

    Without the package ipywidgets a notebook cannot draw over what it has shown.
    """
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal


@contextlib.contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar that disappears at its end; yields the function that moves it by one."""
    with rich.progress.Progress(
        console=console, disable=not shows_bars(), transient=True
    ) as bar:
        task = bar.add_task(description, total=total)
        yield lambda: bar.advance(task)
