"""What each shipped system is at the scale `tiny`: its parameters, and what it can do. A program of its own.

``python -m mmbench.harness.system_facts FOLDER NAME …`` prints a line of JSON a system as soon as it is known,
``{NAME: {"parameters", "tasks"} or {"error"}}``, and says on stderr how far it is. The tokenizer lands in FOLDER.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmbench.config.errors import UserError
from mmbench.config.load import load_settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.harness.starting_point import assemble, untrained

SCALE = "tiny"
_TOLD_EVERY_S = 2.0


def system_facts(names: list[str], folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each system as a comparison at `tiny` on the built-in scenes would assemble it, with random weights."""
    datamodule = None
    told_s = time.monotonic()
    for number, name in enumerate(names):
        try:
            settings = untrained(load_settings([name], scale=SCALE))
            if datamodule is None:
                datamodule = MultimodalDataModule(settings, folder, seed=0, decode=False)
                datamodule.prepare_data()
                datamodule.setup()
            (system,) = settings.systems.values()
            family = assemble(system, settings, datamodule, folder)
            yield name, {"parameters": family.num_parameters(), "tasks": sorted(family.able())}
        except UserError as error:
            yield name, {"error": str(error)}
        except Exception as error:  # of one system, whatever it is: the others can be listed
            yield name, {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        if time.monotonic() - told_s > _TOLD_EVERY_S:
            told_s = time.monotonic()
            print(f"mmbench: counting parameters: {number + 1} of {len(names)} systems", file=sys.stderr, flush=True)


if __name__ == "__main__":
    for system, facts in system_facts(sys.argv[2:], Path(sys.argv[1])):
        print(json.dumps({system: facts}), flush=True)
