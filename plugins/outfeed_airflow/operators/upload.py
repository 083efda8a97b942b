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
    from outfeed.steps.context import RunContext


class UploadOperator(StepOperator):
    """Delivers the run to one destination; skipped if the run leaves that destination out."""

    def __init__(self, *, destination: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.destination = destination

    def step(self, run: RunContext) -> dict[str, Any]:
        """See the base class."""
        from outfeed.steps.links import Post
        from outfeed.steps.upload import upload
        from outfeed_airflow.mail import probe_mail, send_mail

        if self.destination not in run.plan.destinations:
            raise AirflowSkipException(f"this run does not deliver to {self.destination!r}")
        config = run.plan.customer_config
        mail = config.notify.connection
        return upload(
            run,
            self.destination,
            resolve.credentials(run.plan.destination(self.destination).connection_id),
            resolve.images_root(config),
            Post(partial(send_mail, mail), partial(probe_mail, mail)),
        )


def _operator_class(kind: str) -> type[UploadOperator]:
    name = "".join(word.capitalize() for word in kind.split("_")) + "UploadOperator"
    doc = f"Delivers by the connector `{kind}`."
    return type(name, (UploadOperator,), {"__module__": __name__, "__doc__": doc})


#: The operator class for each connector type.
UPLOAD_OPERATORS = {kind: _operator_class(kind) for kind in CONNECTORS}
globals().update({operator.__name__: operator for operator in UPLOAD_OPERATORS.values()})
