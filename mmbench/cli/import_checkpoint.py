"""``mmbench import``: a whole published checkpoint as a system that can be scored and fine-tuned here."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from mmbench.cli.parser import CommandParser


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(
        description="Read a whole vision-language checkpoint of Hugging Face and write it as a system: a folder with "
        "system.yaml, its weights, its tokenizer, and scale.yaml, the settings that it needs of a comparison."
    )
    parser.add_argument("checkpoint", metavar="PATH", help="folder of the checkpoint, or its name on the hub")
    parser.add_argument("--to", metavar="FOLDER", help="folder to write; default: imported/NAME")
    parser.add_argument("--offline", action="store_true", help="never use the network; a hub name must be in the cache")
    commands.add_subcommand("import", parser, help="make a published checkpoint a system")


def run(arguments: Namespace) -> int:
    """Import, and say how to go on."""
    given: str = arguments.checkpoint
    target = Path(arguments.to or Path("imported") / Path(given).name).expanduser()

    from mmbench.config.hub import checkpoint_folder
    from mmbench.interchange.importing import FILES, SCALE, SYSTEM, import_checkpoint
    from mmbench.interchange.whole_folder import refuse_existing

    refuse_existing(target)
    source = checkpoint_folder(given, FILES, "the checkpoint", arguments.offline)
    print(f"Reading {source} …", flush=True)
    foreign = import_checkpoint(source, target)
    print(f"Imported as family '{foreign.system.family}', {foreign.image_size} pixels: {target}")
    print(f"Score it:  mmbench compare {target / SYSTEM} --scale {target / SCALE} --data DATA")
    print(f"Write it back:  mmbench export {target} FOLDER")
    return 0
