"""A progress bar for commands of one process: on a terminal alone, and only where it is worth the while."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE_S = 1.0


@contextmanager
def bar(patience_s: float = _PATIENCE_S) -> Iterator[Callable[[str, int, int], None]]:
    """What to tell the progress to: what is being done, and how many of how many steps are behind.

    The bar stands on stderr, appears after `patience_s` seconds and is gone at the end.
    """
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    shown = Progress(*columns, console=Console(stderr=True), transient=True)
    task = shown.add_task("files", total=None)
    timer = threading.Timer(patience_s, shown.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda what, done, total: shown.update(task, description=what, completed=done, total=total)
    finally:
        timer.cancel()
        timer.join()
        shown.stop()
