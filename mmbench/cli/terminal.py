"""How tables look in the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table


def result_table(columns: list[str]) -> Table:
    """An empty table: names on the left, numbers on the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=number == 0)
    return table


def result_console() -> Console:
    """The console that tables are printed on."""
    console = Console()
    # A file or a pipe has no width of its own: columns are then never squeezed.
    return console if console.is_terminal else Console(width=160)
