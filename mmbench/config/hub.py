"""Where a checkpoint's files are: a folder that was named, or one of the Hugging Face hub in the local cache."""

import os
from collections.abc import Sequence
from pathlib import Path

from mmbench.config.errors import UserError


def checkpoint_folder(name: str, patterns: Sequence[str], setting: str, offline: bool = False) -> Path:
    """The folder of that name, or the hub's files of that name, which are fetched unless they are here already.

    Args:
        name: a folder, or ``owner/name`` on the hub.
        patterns: the files to fetch, as file name patterns.
        setting: what the name is the value of; for the error.
        offline: never use the network, as with the environment variable ``HF_HUB_OFFLINE``.

    Raises:
        UserError: there is no such folder, and the hub does not have the name, keeps it closed or cannot be reached.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    how = f"give the path of a folder with its files as {setting}"
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(f"{setting} is '{name}', but there is no such folder: {how}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    offline = offline or is_offline()
    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns), local_files_only=offline))
    except GatedRepoError:
        why = f"is closed on the hub until its owner lets you in: ask at https://huggingface.co/{name} and log in"
    except RepositoryNotFoundError:
        why = "is neither a folder here nor a public name on the hub: mind the spelling, or log in if it is private"
    except LocalEntryNotFoundError:
        why = "is no folder here, and not among the files fetched before; "
        why += "the network may not be used (offline)" if offline else "the hub cannot be reached"
    except Exception as error:
        # Names that cannot be, broken connections, full disks: a class each, and the remedy is the same.
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        why = f"is no folder here, and could not be had from the hub ({reason})"
    raise UserError(f"{setting} '{name}' {why}; or {how}")


def is_offline() -> bool:
    """Whether the environment forbids the network (``HF_HUB_OFFLINE``)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
