"""One cell trained by several processes: ``python -m mmbench.harness.rank FOLDER``.

Lightning's strategies start the other processes by the command that started the first, so the training has a command
of its own; it ends when the process that started it does.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from mmbench.harness.processes import TaskFailedError

_LOOK_EVERY_S = 0.5
_SHOWN_CHARACTERS = 400


def train_in_ranks(folder: Path) -> None:
    """Train the cell or trial of a folder in as many processes as the settings' devices ask for.

    Raises:
        TaskFailedError: the training ended with an error.
    """
    command = [sys.executable, "-m", "mmbench.harness.rank", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or ["no message"]
        raise TaskFailedError(f"training on several devices failed: {lines[-1][:_SHOWN_CHARACTERS]}", ended.stderr)


def main() -> None:
    """One of the processes."""
    from mmbench.harness.cell import train_cell
    from mmbench.harness.opened import open_cell

    _end_with_parent()
    train_cell(*open_cell(Path(sys.argv[1])))


def _end_with_parent() -> None:
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


if __name__ == "__main__":
    main()
