"""A decoder's whole configuration as a file, for those that no published layout describes."""

import json
from dataclasses import asdict
from pathlib import Path

from mmbench.config.errors import UserError
from mmbench.config.model import ExpertSettings
from mmbench.config.whole_file import whole_file
from mmbench.nn.decoder import Decoder
from mmbench.nn.rotary import RopeScaling


def write_decoder_config(config: Decoder.Config, path: Path) -> None:
    """Write the configuration as JSON."""
    with whole_file(path) as part:
        part.write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")


def read_decoder_config(path: Path) -> Decoder.Config:
    """What `write_decoder_config` wrote.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["experts"] = ExpertSettings(**content["experts"])
        if content["rope_scaling"] is not None:
            content["rope_scaling"] = RopeScaling(**content["rope_scaling"])
        return Decoder.Config(**content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"language_model.config is '{path}', which holds no decoder's configuration "
            f"({type(error).__name__}: {error}): give the file that mmbench import wrote"
        ) from error
