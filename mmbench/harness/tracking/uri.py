"""Which MLflow store a run is mirrored to, and whether its address can be one at all."""

import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from mmbench.config.errors import UserError

_SERVERS = ("http", "https")
_DATABASES = ("postgresql", "mysql", "mssql")
_ALLOWED = (
    "write http://HOST:PORT of a running MLflow server, sqlite:///FILE, postgresql://… or mysql://…, "
    "or leave it out for sqlite:///runs/mlflow.db"
)


def tracking_uri(configured: str, runs_dir: Path) -> str:
    """The store to use: the configured one, else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in ``runs_dir``.

    A relative sqlite path counts from the current folder, and is returned absolute.

    Raises:
        UserError: the URI is malformed.
    """
    uri = configured or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        return f"sqlite:///{(runs_dir / 'mlflow.db').resolve().as_posix()}"
    check_tracking_uri(uri)
    file = sqlite_file(uri)
    return uri if file is None else f"sqlite:///{file.as_posix()}"


def check_tracking_uri(uri: str) -> None:
    """See that ``uri`` could be the address of an MLflow store; nothing is opened. Empty means the default.

    Raises:
        UserError: it could not: unknown scheme, no host, a port that is none, no file.
    """
    if not uri or uri == "databricks":
        return
    scheme, _, rest = uri.partition("://")
    dialect = scheme.split("+")[0].lower()
    if re.search(r"\s", uri) or "://" not in uri or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        raise _malformed(uri, "it is not of the form SCHEME://…")
    if dialect in (*_SERVERS, *_DATABASES):
        try:
            parts = urlsplit(uri)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise _malformed(uri, str(error)) from None
        if not host and dialect in _SERVERS:
            raise _malformed(uri, "it names no host")
        if not rest:
            raise _malformed(uri, "it names no database")
    elif dialect == "sqlite":
        if not rest.startswith("/") or rest.split("?")[0].rstrip("/") == "":
            raise _malformed(uri, "a database file follows three slashes, as in sqlite:///runs/mlflow.db")
    elif dialect not in ("file", "databricks", *_plugin_schemes()):
        raise _malformed(uri, f"its scheme '{scheme}' is unknown")


def sqlite_file(uri: str) -> Path | None:
    """The absolute path of an sqlite URI's file; None for every other store."""
    if not uri.lower().startswith("sqlite:///"):
        return None
    return Path(uri[len("sqlite:///") :].split("?")[0]).resolve()


def without_password(uri: str) -> str:
    """The URI as it may be shown or kept: without user and password."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _malformed(uri: str, why: str) -> UserError:
    return UserError(f"tracking URI '{without_password(uri)}' is malformed: {why}; {_ALLOWED}")


def _plugin_schemes() -> list[str]:
    return [point.name for point in entry_points(group="mlflow.tracking_store")]
