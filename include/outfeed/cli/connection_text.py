"""Airflow's two ways to write a connection as text, a URI and JSON, read without Airflow."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from outfeed.connectors.base import Credentials
from outfeed.errors import Action, ConfigError


def parse_connection(text: str, name: str) -> Credentials:
    """The plain values of a connection; the same that Airflow reads from this text.

    Args:
        text: `{"conn_type": …}` or `type://login:password@host:port/schema?key=value`.
        name: where the text stands, for messages: it holds secrets and is never shown.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        return _from_json(text) if text.lstrip().startswith("{") else _from_uri(text)
    except (ValueError, TypeError, AttributeError):
        raise ConfigError(
            "this is no Airflow connection",
            where=name,
            action=Action.OPERATOR,
            remedy='write it as a URI or as JSON: {"conn_type": …, "login": …, "password": …, "extra": {…}}',
        ) from None


def _from_json(text: str) -> Credentials:
    values = json.loads(text)
    port = values.get("port")
    return Credentials(
        login=values.get("login"),
        password=values.get("password"),
        host=values.get("host"),
        port=int(port) if port else None,
        extra=_extra(values.get("extra")),
    )


def _extra(value: Any) -> dict[str, Any]:
    """The extra, which Airflow also takes as JSON in a text."""
    loaded = json.loads(value) if isinstance(value, str) and value else value
    return dict(loaded or {})


def _from_uri(text: str) -> Credentials:
    kind, separator, rest = text.partition("://")
    if not kind or not separator:
        raise ValueError("no scheme")
    protocol, inner, after = rest.partition("://")
    if inner and "/" not in protocol and "?" not in protocol:
        # type://protocol://host: the protocol belongs to the host.
        parts, prefix = urlsplit(f"//{after}"), f"{protocol}://"
    else:
        parts, prefix = urlsplit(f"//{rest}"), ""
    host = unquote(parts.hostname or "")
    if "/" in host:
        # A path has no host's lower case.
        host = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    return Credentials(
        login=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        host=f"{prefix}{host}" if host else None,
        port=parts.port,
        extra=_query(parts.query),
    )


def _query(query: str) -> dict[str, Any]:
    """`__extra__` holds JSON with everything; else each value is JSON if it can be read as such."""
    values: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    if "__extra__" in values:
        return _extra(values["__extra__"])
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: str) -> Any:
    try:
        return json.loads(value) if value else value
    except ValueError:
        return value
