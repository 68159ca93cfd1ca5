"""The special tokens of a checkpoint's tokenizer, which some formats name by their text alone."""

import json
from pathlib import Path
from typing import Any

from mmbench.config.errors import UserError

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"


def special_tokens(folder: Path) -> dict[str, int]:
    """Text -> id of the tokens that were added to the vocabulary; {} where the folder has no tokenizer.

    Raises:
        UserError: a file is malformed.
    """
    added = _read(folder / TOKENIZER).get("added_tokens") or []
    decoder = _read(folder / TOKENIZER_CONFIG).get("added_tokens_decoder") or {}
    try:
        return {token["content"]: int(number) for number, token in decoder.items()} | {
            token["content"]: int(token["id"]) for token in added
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"the added tokens in '{folder / TOKENIZER}' cannot be read: fetch the file anew") from error


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"'{path}' is no JSON ({error}): fetch the file anew") from error
    return content if isinstance(content, dict) else {}
