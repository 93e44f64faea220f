"""Where everything that a person sees is written."""

import contextlib
from collections.abc import Callable, Iterator

import rich.console
import rich.progress

console = rich.console.Console(highlight=False, soft_wrap=True)


@contextlib.contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar that disappears at its end; yields the function that moves it by one."""
    with rich.progress.Progress(
        console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(description, total=total)
        yield lambda: bar.advance(task)
