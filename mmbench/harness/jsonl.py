"""Follow a file of JSON lines that another process appends to."""

import json
from pathlib import Path
from typing import Any


class LogTail:
    """Reads each complete line of a JSON-lines file once, as it comes.

    When the file was cut or replaced (a resumed cell drops the lines after its checkpoint), reading begins again
    at its start; the caller tells known lines by their ``step``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._file_id = 0

    def read(self) -> list[dict[str, Any]]:
        """The lines that were completed since the last call; none where there is no file.

        A line that is no JSON object is left out: a killed writer may have left half of one.
        """
        try:
            status = self.path.stat()
            if (status.st_size, status.st_ino) == (self._offset, self._file_id):
                return []
            if status.st_ino != self._file_id or status.st_size < self._offset:
                self._offset, self._file_id = 0, status.st_ino
            with self.path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        complete = content[: content.rfind(b"\n") + 1]
        self._offset += len(complete)
        return [line for line in map(_parse, complete.splitlines()) if line is not None]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
