"""A client of Azure Blob Storage from an Airflow connection's values, and what its errors mean."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from outfeed.connectors.base import Credentials
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError

if TYPE_CHECKING:
    from outfeed.connectors.azure_blob import AzureBlobOptions

#: Seconds to connect, and to wait for each answer.
CONNECT_TIMEOUT = 30.0
READ_TIMEOUT = 120.0

#: Bytes of one answer when a blob is read.
_READ_SIZE = 4 << 20

#: How a right is granted, by its word in our messages: the letter of a SAS and the action of a role.
RIGHTS = {
    "read": ("r", "blobs/read"),
    "list": ("l", "blobs/read"),
    "write": ("w", "blobs/write"),
    "delete": ("d", "blobs/delete"),
}

#: What says that the name belongs to a blob already, which we may or may not be allowed to touch.
_TAKEN = {
    "BlobAlreadyExists",
    "BlobImmutableDueToLegalHold",
    "BlobImmutableDueToPolicy",
    "ConditionNotMet",
    "LeaseIdMissing",
    "TargetConditionNotMet",
    "UnauthorizedBlobOverwrite",
}

_BAD_CREDENTIALS = {"AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"}

_PASSING = {"Md5Mismatch", "ContainerBeingDeleted", "InvalidBlockList"}


def open_container(options: AzureBlobOptions, credentials: Credentials) -> Any:
    """A client of the container that has made no request yet.

    Raises:
        TerminalError: the connection's values are incomplete, malformed or for another account.
    """
    import requests
    from azure.core.pipeline.transport import RequestsTransport
    from azure.storage.blob import ContainerClient, ExponentialRetry
    from requests.adapters import HTTPAdapter

    # The first writes several lines for each request, the second a line with the SAS.
    logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=options.parallel))
    try:
        return ContainerClient(
            options.endpoint,
            options.container,
            credential=_credential(options, credentials),
            transport=RequestsTransport(
                session=session, connection_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT
            ),
            retry_policy=ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3),
            max_single_get_size=_READ_SIZE,
            max_chunk_get_size=_READ_SIZE,
        )
    except ValueError:
        # The SDK's own text may repeat what stands in the connection.
        raise _unusable(options, "has values that the client can't read") from None


def _credential(options: AzureBlobOptions, credentials: Credentials) -> Any:
    """What signs the requests, in the forms that Airflow's connection type `wasb` knows."""
    from azure.core.credentials import AzureSasCredential

    extra, login, password = credentials.extra, credentials.login, credentials.password
    if extra.get("connection_string"):
        return _from_connection_string(options, str(extra["connection_string"]))
    if extra.get("tenant_id"):
        if not (login and password):
            raise _unusable(options, "has a tenant_id, but no client id (login) or no secret (password)")
        from azure.identity import ClientSecretCredential

        return ClientSecretCredential(str(extra["tenant_id"]), login, password)
    if extra.get("sas_token"):
        # Airflow's form also takes the whole URL.
        return AzureSasCredential(str(extra["sas_token"]).rpartition("?")[2])
    if password:
        return {"account_name": login or options.account, "account_key": password}
    if login:
        raise _unusable(options, "has an account name but no key (password)")
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def _from_connection_string(options: AzureBlobOptions, text: str) -> Any:
    from azure.core.credentials import AzureSasCredential
    from azure.storage.blob import ContainerClient

    named = ContainerClient.from_connection_string(text, options.container)
    if urlsplit(named.url)[1:3] != urlsplit(f"{options.endpoint}/{options.container}")[1:3]:
        raise _unusable(options, "has a connection string of another account than the configuration names")
    fields = dict(part.split("=", 1) for part in text.rstrip(";").split(";"))
    values = {name.strip().lower(): value for name, value in fields.items()}
    if values.get("sharedaccesssignature"):
        return AzureSasCredential(values["sharedaccesssignature"].removeprefix("?"))
    if not values.get("accountkey"):
        raise _unusable(options, "has a connection string with neither key nor SAS")
    return {"account_name": values.get("accountname", options.account), "account_key": values["accountkey"]}


def _unusable(options: AzureBlobOptions, problem: str) -> TerminalError:
    return TerminalError(
        f"the connection of this destination {problem}",
        where=options.location(),
        action=Action.OPERATOR,
        remedy="give login and password (account and key), or in its extra sas_token, connection_string or "
        "tenant_id (then login and password are client id and secret); or none for the worker's identity",
    )


def code_of(error: Any) -> str:
    """The service's code of an error; empty where no answer came."""
    code = getattr(error, "error_code", None) or ""
    return str(getattr(code, "value", code))


def is_missing(error: Any) -> bool:
    """Whether the blob, not the container, does not exist."""
    return error.status_code == 404 and code_of(error) not in ("ContainerNotFound", "ResourceNotFound")


def is_taken(error: Any) -> bool:
    """Whether a conditional create found, or raced with, another blob of that name."""
    return code_of(error) in _TAKEN


@contextlib.contextmanager
def translated(doing: str, right: str, location: str) -> Iterator[None]:
    """Turns the SDK's errors into ours; `doing` completes 'could not …', `right` is one of `RIGHTS`.

    The SDK's own error is not kept: it may repeat an address with a SAS.
    """
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        yield
    except AzureError as error:
        what = f"could not {doing}"
        if isinstance(error, HttpResponseError) and error.status_code is not None:
            raise _refusal(error, what, right, location) from None
        raise _failure(error, what, location) from None


def _refusal(error: Any, what: str, right: str, location: str) -> OutfeedError:
    """What an answer of the service means."""
    code, status = code_of(error), int(error.status_code)
    passing = code in _PASSING or status in (408, 429, 500, 502, 503, 504)
    if passing and not _is_full(code):
        return TransientError(
            f"{what}: the service is busy ({code or status})", where=location, remedy="retried"
        )
    if code.startswith("Lease"):
        return TransientError(
            f"{what}: somebody holds a lease on it ({code})",
            where=location,
            action=Action.CUSTOMER,
            remedy="retried; if it persists, the customer must release the lease",
        )
    if is_taken(error):
        return TransientError(f"{what}: {code}", where=location, remedy="retried")
    action, problem, remedy = _terminal(code, status, right)
    return TerminalError(f"{what}: {problem}", where=location, action=action, remedy=remedy)


def _is_full(code: str) -> bool:
    return "quota" in code.lower() or "capacity" in code.lower()


def _terminal(code: str, status: int, right: str) -> tuple[Action, str, str]:
    if code in ("ContainerNotFound", "ResourceNotFound"):
        return Action.CUSTOMER, "there is no such container", "create the container, or correct its name"
    if code in ("AccountIsDisabled", "ContainerDisabled"):
        return Action.CUSTOMER, f"it is disabled ({code})", "enable it again"
    if _is_full(code) or status == 507:
        return Action.CUSTOMER, f"the account is full ({code or status})", "raise its limit or make room"
    if code in _BAD_CREDENTIALS or status == 401:
        return (
            Action.OPERATOR,
            f"the service refuses our credentials ({code or status})",
            "check the connection of this destination: its key or SAS may be revoked or expired, and the "
            "clock of this worker must be right",
        )
    if status == 403:
        letter, action = RIGHTS[right]
        return (
            Action.CUSTOMER,
            f"the right to {right} is missing ({code or status})",
            f"grant it to our identity on the container (permission '{letter}' of a SAS, data action "
            f"{action} of a role), and let our addresses through the account's firewall",
        )
    return Action.ENGINEER, f"the service refuses the request ({code or status})", "see the log of this task"


def _failure(error: Exception, what: str, location: str) -> OutfeedError:
    """What it means that no answer came."""
    from azure.core.exceptions import ClientAuthenticationError

    name = type(error).__name__
    if isinstance(error, ClientAuthenticationError):
        return TerminalError(
            f"{what}: no identity could be proved ({name})",
            where=location,
            action=Action.OPERATOR,
            remedy="check the connection of this destination; without one, the identity of this worker",
        )
    return TransientError(
        f"{what}: the service could not be reached ({name})",
        where=location,
        remedy="retried; if it persists, check the account's name and the network",
    )
