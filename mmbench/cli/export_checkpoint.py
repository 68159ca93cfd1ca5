"""``mmbench export``: an imported system, as it was or trained further, in the format that it came in."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from mmbench.cli.parser import CommandParser
from mmbench.config.errors import UserError


def add_parser(commands: Any) -> None:
    """Add the command to those of ``mmbench``."""
    parser = CommandParser(
        description="Write an imported system back as the Hugging Face checkpoint that it came from, with its present "
        "weights: those of the imported folder, or those of a cell that trained it further. A system that was put "
        "together here of LLaVA's parts is written as llava."
    )
    parser.add_argument("source", metavar="FOLDER", help="an imported folder, or a cell: runs/NAME/cells/SYSTEM/seed0")
    parser.add_argument("target", metavar="TARGET", help="folder to write")
    commands.add_subcommand("export", parser, help="write an imported system back in its own format")


def run(arguments: Namespace) -> int:
    """Export, and say where."""
    source, target = Path(arguments.source).expanduser(), Path(arguments.target).expanduser()
    if not source.is_dir():
        raise UserError(f"there is no folder '{source}': give an imported folder or a trained cell")

    from mmbench.interchange.exporting import export_checkpoint, merged_state

    if not (source / "cell.json").is_file():
        export_checkpoint(source, target)
    else:
        from mmbench.data.tokenizer import IMAGE
        from mmbench.harness.cell import load_cell, system_settings
        from mmbench.interchange.composed import export_as_llava

        family, opened, files = load_cell(source)
        weights = system_settings(opened.settings, files.system).weights
        if weights:
            export_checkpoint(Path(weights).parent, target, merged_state(family))
        else:
            tokenizer = opened.datamodule.tokenizer
            export_as_llava(family, target, tokenizer.id_of(IMAGE), tokenizer)
    print(f"Written: {target}")
    return 0
