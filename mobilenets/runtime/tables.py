"""How a table is printed; what the tables say is their callers'."""

import sys

import rich.box
import rich.console
import rich.table

# No terminal, no limit: what is piped into a file or a search has a line a row.
WIDTH_OF_A_PIPE = 200


def new(*columns: str) -> rich.table.Table:
    """An empty table with these columns; ">" before a name aligns it to the right."""
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, show_edge=False, padding=0)
    add_columns(table, *columns)
    return table


def add_columns(table: rich.table.Table, *names: str) -> None:
    """Adds columns that do not wrap; see `new`."""
    for name in names:
        justify = "right" if name.startswith(">") else "left"
        table.add_column(name.removeprefix(">"), justify=justify, no_wrap=True)


def show(*parts: str | rich.table.Table) -> None:
    """Prints tables, and text between them."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_PIPE
    console = rich.console.Console(width=width, highlight=False, markup=False)
    for part in parts:
        console.print(part)


def millions(number: int) -> str:
    """A number in millions, with one digit after the point."""
    return f"{number / 1e6:,.1f}"
