"""What of a system differs at a scale: a paper's sizes where a model is large enough for them, others where not."""

from typing import Any

from mmbench.config.errors import UserError, unknown_name
from mmbench.config.model import SystemSettings
from mmbench.config.presets import preset_names
from mmbench.config.tree import checked


def at_scale(tree: dict[str, Any], scale: str, where: str) -> dict[str, Any]:
    """A system's tree, without ``scales``, and with what they give for this scale.

    Mappings (options, those of an encoder, of a connector) are joined key by key, all else is replaced.

    Args:
        tree: a part of ``SystemSettings``.
        scale: its name.
        where: names the file in errors.

    Raises:
        UserError: there is no such scale, or what is given for it is no part of a system.
    """
    known = [*preset_names("scales"), scale]
    result = {key: value for key, value in tree.items() if key != "scales"}
    for name, given in tree.get("scales", {}).items():
        if name not in known:
            raise unknown_name(f"scale under 'scales' in {where}:", name, known)
        over = checked(given, SystemSettings, f"scales.{name}", where)
        for key in ("same_as", "scales"):
            if key in over:
                raise UserError(f"'scales.{name}.{key}' in {where} cannot differ from scale to scale: leave it out")
        if name == scale:
            result = _joined(result, over)
    return result


def _joined(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = _joined(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result
