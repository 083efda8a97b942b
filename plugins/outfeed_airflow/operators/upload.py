"""One upload operator class per registered connector: `SftpUploadOperator`, `S3UploadOperator`, …

They differ by name only, for people who read the UI. What a connector does differently stands in the library,
so a new connector needs nothing here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from outfeed.connectors import CONNECTORS
from outfeed_airflow import resolve
from outfeed_airflow.operators.base import StepOperator

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials
    from outfeed.steps.context import RunContext
    from outfeed.steps.links import Post


class DestinationOperator(StepOperator):
    """A step at one destination; skipped if the run leaves that destination out."""

    def __init__(self, *, destination: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.destination = destination

    def step(self, run: RunContext) -> dict[str, Any]:
        """See the base class."""
        from outfeed.steps.links import Post
        from outfeed_airflow.mail import probe_mail, send_mail

        if self.destination not in run.plan.destinations:
            raise AirflowSkipException(f"this run does not deliver to {self.destination!r}")
        mail = run.plan.customer_config.notify.connection
        connection_id = run.plan.destination(self.destination).connection_id
        credentials = resolve.destination_credentials(connection_id)
        return self.deliver(run, credentials, Post(partial(send_mail, mail), partial(probe_mail, mail)))

    def deliver(self, run: RunContext, credentials: Credentials, post: Post) -> dict[str, Any]:
        """Calls the library."""
        raise NotImplementedError


class PreflightOperator(DestinationOperator):
    """Tries, step by step, all that a delivery to the destination will need (DX-088)."""

    def deliver(self, run: RunContext, credentials: Credentials, post: Post) -> dict[str, Any]:
        """See the base class."""
        from outfeed.steps.preflight_step import preflight

        return preflight(run, self.destination, credentials, post)


class UploadOperator(DestinationOperator):
    """Delivers the run to the destination."""

    def deliver(self, run: RunContext, credentials: Credentials, post: Post) -> dict[str, Any]:
        """See the base class."""
        from outfeed.steps.upload import upload

        images = resolve.images_root(run.plan.customer_config)
        return upload(run, self.destination, credentials, images, post)


def _operator_class(kind: str) -> type[UploadOperator]:
    name = "".join(word.capitalize() for word in kind.split("_")) + "UploadOperator"
    doc = f"Delivers by the connector `{kind}`."
    return type(name, (UploadOperator,), {"__module__": __name__, "__doc__": doc})


#: The operator class for each connector type.
UPLOAD_OPERATORS = {kind: _operator_class(kind) for kind in CONNECTORS}
globals().update({operator.__name__: operator for operator in UPLOAD_OPERATORS.values()})
