"""What each shipped system is at the scale `tiny`: its parameters, and what it can do. A program of its own.

``python -m mmbench.harness.system_facts FOLDER NAME …`` prints ``{NAME: {"parameters", "tasks"} or {"error"}}`` as
JSON, and says on stderr how far it is. The tokenizer lands in FOLDER.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from mmbench.config.errors import UserError
from mmbench.config.load import load_settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.harness.starting_point import assemble, untrained

SCALE = "tiny"
_TOLD_EVERY_S = 2.0


def system_facts(names: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    """Each system as a comparison at `tiny` on the built-in scenes would assemble it, with random weights."""
    found: dict[str, dict[str, Any]] = {}
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
            found[name] = {"parameters": family.num_parameters(), "tasks": sorted(family.able())}
        except UserError as error:
            found[name] = {"error": str(error)}
        if time.monotonic() - told_s > _TOLD_EVERY_S:
            told_s = time.monotonic()
            print(f"mmbench: counting parameters: {number + 1} of {len(names)} systems", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    print(json.dumps(system_facts(sys.argv[2:], Path(sys.argv[1]))))
