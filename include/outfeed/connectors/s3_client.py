"""An S3 client from an Airflow connection's values, and what its errors mean for a delivery."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from outfeed.connectors.base import Credentials
from outfeed.errors import Action, OutfeedError, SupersededError, TerminalError, TransientError

if TYPE_CHECKING:
    from outfeed.connectors.s3 import S3Options

#: Seconds to connect, and to wait for each answer.
CONNECT_TIMEOUT = 30.0
READ_TIMEOUT = 120.0

#: Which permission of Amazon's each operation needs, for messages.
PERMISSIONS = {
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListParts": "s3:ListMultipartUploadParts",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "DeleteObject": "s3:DeleteObject",
    "AssumeRole": "sts:AssumeRole",
}

#: Parts of large files that are sent at once, by connections of their own.
PARTS_AT_ONCE = 4

_THROTTLED = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"}
#: What arrived is not what was sent; the client has tried again already.
_DAMAGED = {"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}
_BAD_KEYS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSecurity",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
}


def check_keys(credentials: Credentials, location: str) -> None:
    """Guarantees that a connection has both halves of a key, or none (VI-D03).

    Raises:
        TerminalError: naming the half that is missing.
    """
    if bool(credentials.login) == bool(credentials.password):
        return
    there, missing = "an access key", "secret key (password)"
    if credentials.password:
        there, missing = "a secret key", "access key (login)"
    raise TerminalError(
        f"the connection of this destination has {there} but no {missing}",
        where=location,
        action=Action.OPERATOR,
        remedy="complete it, or empty both fields to use the worker's own role",
    )


def open_client(options: S3Options, credentials: Credentials) -> Any:
    """A client that has made no request yet."""
    import boto3
    from botocore.config import Config

    check_keys(credentials, options.location())
    extra = credentials.extra
    session = boto3.Session(
        aws_access_key_id=credentials.login or None,
        aws_secret_access_key=credentials.password or None,
        region_name=extra.get("region_name"),
    )
    role = options.s3_assume_role or extra.get("role_arn")
    if role:
        _assume_role(session, role, options.s3_external_id or extra.get("external_id"))
    config = Config(
        # Signed URLs would otherwise have Amazon's old signature, which most regions refuse.
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=options.parallel + PARTS_AT_ONCE,
        s3={"addressing_style": extra.get("addressing_style", "auto")},
        request_checksum_calculation=options.checksum_mode,
        response_checksum_validation=options.checksum_mode,
    )
    return session.client("s3", endpoint_url=extra.get("endpoint_url"), config=config)


def _assume_role(session: Any, role: str, external_id: str | None) -> None:
    """Makes the session act in a role (VI-D08), renewed before it expires: an upload may take hours."""
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    core = session._session
    arguments = {"ExternalId": external_id} if external_id else {}
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=core.create_client,
        source_credentials=session.get_credentials(),
        role_arn=role,
        extra_args={"RoleSessionName": "outfeed", **arguments},
    )
    core._credentials = DeferredRefreshableCredentials(
        refresh_using=fetcher.fetch_credentials, method="assume-role"
    )


def code_of(error: Exception) -> str:
    """The service's code of an error, or the HTTP status where it sends no body (HEAD)."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def is_missing(error: Exception) -> bool:
    """Whether the object, not the bucket, does not exist."""
    return code_of(error) in ("404", "NoSuchKey", "NotFound")


def is_taken(error: Exception) -> bool:
    """Whether a conditional create found, or raced with, another object of that name."""
    return code_of(error) in ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")


@contextlib.contextmanager
def translated(doing: str, location: str, permissions: Mapping[str, str] = PERMISSIONS) -> Iterator[None]:
    """Turns boto's errors into ours; `doing` completes 'could not …'."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _refusal(error, f"could not {doing}", location, permissions) from error
    except BotoCoreError as error:
        raise _failure(error, f"could not {doing}", location) from error


def _refusal(error: Any, what: str, location: str, permissions: Mapping[str, str]) -> OutfeedError:
    """What an answer of the service means."""
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchUpload":
        return SupersededError(f"{what}: a newer try of this delivery has taken over", where=location)
    if code in _THROTTLED or status == 429 or (status >= 500 and code != "NotImplemented"):
        return TransientError(
            f"{what}: the service is busy ({code or status})", where=location, remedy="retried"
        )
    if code in ("RequestTimeout", *_DAMAGED) or is_taken(error):
        return TransientError(f"{what}: {code}", where=location, remedy="retried")
    action, problem, remedy = _terminal(error, code, status, permissions)
    return TerminalError(f"{what}: {problem}", where=location, action=action, remedy=remedy)


def _terminal(error: Any, code: str, status: int, permissions: Mapping[str, str]) -> tuple[Action, str, str]:
    if code == "NoSuchBucket":
        return Action.CUSTOMER, "there is no such bucket", "create the bucket, or correct its name"
    if code == "RequestTimeTooSkewed":
        return Action.OPERATOR, "the clock of this worker is wrong", "synchronise the worker's clock"
    if code in _BAD_KEYS:
        return (
            Action.OPERATOR,
            f"the service refuses our credentials ({code})",
            "check the connection of this destination: its key may be revoked or expired",
        )
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
        return (
            Action.OPERATOR,
            f"the bucket is in another region ({code})",
            "set region_name in the connection's extra",
        )
    if status == 403:
        permission = permissions.get(error.operation_name, error.operation_name)
        return (
            Action.CUSTOMER,
            f"permission {permission} is missing",
            f"grant {permission} on the bucket and prefix to our identity",
        )
    return Action.ENGINEER, f"the service refuses the request ({code or status})", "see the log of this task"


def _failure(error: Exception, what: str, location: str) -> OutfeedError:
    """What it means that no answer came."""
    from botocore import exceptions as boto

    terminal = (
        boto.NoCredentialsError
        | boto.PartialCredentialsError
        | boto.ParamValidationError
        | boto.NoRegionError
        | boto.CredentialRetrievalError
    )
    name = type(error).__name__
    if isinstance(error, terminal):
        return TerminalError(
            f"{what}: the client can't be used ({name})",
            where=location,
            action=Action.OPERATOR,
            remedy="check the connection of this destination",
        )
    return TransientError(
        f"{what}: the service could not be reached ({name})",
        where=location,
        remedy="retried; if it persists, check endpoint_url and the network",
    )
