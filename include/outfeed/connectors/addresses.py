"""How options name a server, a folder on it and a mailbox: one spelling for one place."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator, WithJsonSchema

from outfeed.errors import Action, TransientError

_MAIL_NAME = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_MAIL_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_MAIL_ADDRESS = re.compile(rf"(?=.{{1,64}}@){_MAIL_NAME}@(?:{_MAIL_LABEL}\.)+(?!\d+$){_MAIL_LABEL}")


def _mail_address(value: str) -> str:
    """An address that a mail server will look at; a domain that is no ASCII must be in punycode."""
    if len(value) > 254 or not _MAIL_ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is not an e-mail address")
    return value


#: pydantic's own type looks every address up in tables that cost more to load than all else here (DX-044).
MailAddress = Annotated[
    str, AfterValidator(_mail_address), WithJsonSchema({"type": "string", "format": "email"})
]


def bare_host(value: str, example: str) -> str:
    """A host name or IP address in lower case; raises ValueError for anything around it (DX-072, VI-D11)."""
    host = value.strip().removeprefix("[").removesuffix("]").lower()
    if not re.fullmatch(r"[a-z0-9_.:-]{1,253}", host) or (":" in host and host.count(":") < 2):
        raise ValueError(f"{value!r} is no host name; write {example}, no scheme, user, port or path")
    return host


def base_directory(value: str) -> str:
    """A folder without needless slashes; a relative one begins at the login directory (DX-074, VI-D15)."""
    if re.search(r"[\x00-\x1f\\]", value) or ".." in value.split("/"):
        raise ValueError(f"{value!r} is no base directory: '..', '\\' and control characters are refused")
    parts = [part for part in value.split("/") if part not in ("", ".")]
    return ("/" if value.startswith("/") else "") + "/".join(parts) or "."


def server_uri(scheme: str, user: str, host: str, port: int, base: str) -> str:
    """`scheme://user@host:port/base`; a base relative to the login directory begins with `/~/`."""
    absolute = base if base.startswith("/") else f"/~/{base}"
    bracketed = f"[{host}]" if ":" in host else host
    return f"{scheme}://{quote(user, safe='')}@{bracketed}:{port}{quote(absolute)}"


def server_pool(scheme: str, host: str, port: int) -> str:
    """The Airflow pool of a server: one for all that goes to one host, so that it is bounded together."""
    return f"destination_{scheme}_{re.sub(r'[^A-Za-z0-9_.-]', '_', host)}_{port}"


def unconnected(port: int, option: str, seconds: float, error: Exception, location: str) -> TransientError:
    """A time-out told apart from a refusal: they have different causes at the customer's (DX-087).

    Args:
        option: the name of the port in the YAML.
        seconds: how long was waited.
        location: URI for messages.
    """
    if isinstance(error, TimeoutError):
        what = f"no answer from port {port} within {seconds:.0f} s (time-out)"
        remedy = "the customer's firewall may drop packets from our addresses: compare its rules"
    elif isinstance(error, ConnectionRefusedError):
        what = f"port {port} refuses connections"
        remedy = f"the server is down, or {option} is wrong, or a firewall rejects us"
    else:
        what = getattr(error, "strerror", "") or type(error).__name__
        remedy = "check the network between us and the customer"
    return TransientError(
        f"could not connect: {what}",
        where=location,
        action=Action.CUSTOMER,
        remedy=f"retried; if it persists: {remedy}",
    )
