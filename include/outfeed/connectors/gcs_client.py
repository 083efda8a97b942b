"""Google's client from an Airflow connection's values, and what its errors mean for a delivery."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from outfeed.connectors.base import Credentials
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError

if TYPE_CHECKING:
    from outfeed.connectors.gcs import GcsOptions

#: Seconds to connect, and to wait for each answer.
TIMEOUT = (30, 120)

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def open_client(options: GcsOptions, credentials: Credentials) -> Any:
    """A client that has made no request yet.

    Raises:
        TerminalError: the connection's values can't be used.
    """
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage
    from requests.adapters import HTTPAdapter

    extra = credentials.extra
    endpoint = extra.get("api_endpoint")
    try:
        client = storage.Client(
            # The project takes no part in reading and writing objects, but the client insists on one.
            project=extra.get("project") or "outfeed",
            credentials=_google_credentials(extra),
            client_options={"api_endpoint": endpoint} if endpoint else None,
        )
    except (GoogleAuthError, ValueError, OSError) as error:
        raise TerminalError(
            f"the Google credentials of this destination can't be used: {type(error).__name__}",
            where=options.location(),
            action=Action.OPERATOR,
            remedy="check keyfile_dict, key_path or impersonation_chain in the connection's extra",
        ) from error
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=options.parallel)
    client._http.mount("https://", adapter)
    client._http.mount("http://", adapter)
    return client


def _google_credentials(extra: dict[str, Any]) -> Any:
    import google.auth
    from google.auth import impersonated_credentials
    from google.auth.credentials import AnonymousCredentials
    from google.oauth2 import service_account

    if extra.get("is_anonymous"):
        return AnonymousCredentials()
    if keyfile := extra.get("keyfile_dict"):
        info = json.loads(keyfile) if isinstance(keyfile, str) else keyfile
        found = service_account.Credentials.from_service_account_info(info, scopes=_SCOPES)
    elif key_path := extra.get("key_path"):
        found = service_account.Credentials.from_service_account_file(key_path, scopes=_SCOPES)
    else:
        found, _ = google.auth.default(scopes=_SCOPES)
    chain = extra.get("impersonation_chain")
    if not chain:
        return found
    accounts = [chain] if isinstance(chain, str) else list(chain)
    return impersonated_credentials.Credentials(
        source_credentials=found,
        target_principal=accounts[-1],
        delegates=accounts[:-1],
        target_scopes=_SCOPES,
    )


@contextlib.contextmanager
def translated(doing: str, permission: str, location: str) -> Iterator[None]:
    """Turns Google's errors into ours; `doing` completes 'could not …', `permission` is what it needs."""
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    known = (GoogleAPIError, GoogleAuthError, DataCorruption, InvalidResponse, requests.RequestException)
    try:
        yield
    except known as error:
        raise _fault(error, doing, permission, location) from error


def _fault(error: Exception, doing: str, permission: str, location: str) -> OutfeedError:
    from google.api_core import exceptions as api
    from google.auth.exceptions import GoogleAuthError, TransportError

    what = f"could not {doing}"
    if isinstance(error, api.Forbidden) and "rateLimitExceeded" not in str(error):
        return TerminalError(
            f"{what}: permission {permission} is missing",
            where=location,
            action=Action.CUSTOMER,
            remedy=f"grant {permission} on the bucket to our service account",
        )
    if isinstance(error, api.Unauthorized) or (
        isinstance(error, GoogleAuthError) and not isinstance(error, TransportError)
    ):
        return TerminalError(
            f"{what}: Google refuses our credentials",
            where=location,
            action=Action.OPERATOR,
            remedy="check the connection of this destination: the key may be revoked or expired",
        )
    if isinstance(error, api.NotFound):
        return TerminalError(
            f"{what}: there is no such bucket",
            where=location,
            action=Action.CUSTOMER,
            remedy="create the bucket, or correct storage_uri",
        )
    if _is_terminal(error):
        return TerminalError(
            f"{what}: the request was refused ({type(error).__name__})",
            where=location,
            action=Action.ENGINEER,
            remedy="see the log of this task",
        )
    return TransientError(
        f"{what}: the service did not answer as expected ({type(error).__name__})",
        where=location,
        remedy="retried",
    )


def _is_terminal(error: Exception) -> bool:
    """Requests that are wrong by themselves; throttling, preconditions and damage on the way pass."""
    from google.api_core import exceptions as api

    if isinstance(error, api.BadRequest) and "doesn't match calculated" in str(error):
        return False
    passing = api.TooManyRequests | api.PreconditionFailed | api.Conflict | api.Forbidden
    return isinstance(error, api.ClientError) and not isinstance(error, passing)
