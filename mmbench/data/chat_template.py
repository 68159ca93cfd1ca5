"""Chat templates: how the makers of an instruction-tuned model write a conversation, as Jinja beside its tokenizer."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mmbench.config.errors import UserError

TEMPLATE_FILES = ("tokenizer_config.json", "chat_template.jinja")
"""Where a template may be; the second wins."""


def read_chat_template(folder: Path) -> str | None:
    """The template in the folder, if there is one.

    Raises:
        UserError: the file that should hold it is malformed.
    """
    config, own = (folder / name for name in TEMPLATE_FILES)
    if own.is_file():
        return own.read_text(encoding="utf-8")
    if not config.is_file():
        return None
    try:
        found = json.loads(config.read_text(encoding="utf-8")).get("chat_template")
        if isinstance(found, list):  # several, by name
            found = {template["name"]: template["template"] for template in found}.get("default")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"'{config}' is no tokenizer configuration ({error}): fetch the file anew") from error
    return found if isinstance(found, str) else None


def render(template: str, messages: Sequence[Mapping[str, str]], bos: str, eos: str) -> str:
    """The conversation up to the model's turn.

    Templates come from strangers, so they run in a sandbox.

    Args:
        template: Jinja.
        messages: ``role`` and ``content`` of each.
        bos: the begin token.
        eos: the end token.

    Raises:
        UserError: the template is malformed, or refuses the messages.
    """
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    # What Hugging Face promises to the writers of templates.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    try:
        return environment.from_string(template).render(
            messages=messages, bos_token=bos, eos_token=eos, add_generation_prompt=True
        )
    except Exception as error:
        # A template is a program, and raises what Python raises.
        raise UserError(
            f"the chat template does not take these messages ({error}): mend it, or leave it out"
        ) from error


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
