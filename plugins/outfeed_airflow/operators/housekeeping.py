"""Operators of the daily housekeeping."""

from __future__ import annotations

import datetime as dt
import html
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from outfeed.errors import Action, ConfigError, TerminalError
from outfeed_airflow import resolve
from outfeed_airflow.mail import send_mail

if TYPE_CHECKING:
    from airflow.sdk import Context

    from outfeed.config.models import CustomerConfig
    from outfeed.steps.housekeeping import LateWindow
    from outfeed.steps.notify import Message

log = logging.getLogger(__name__)


class ExpireOperator(BaseOperator):
    """Removes staged data whose retention has passed (XX-09)."""

    def execute(self, context: Context) -> dict[str, int]:
        """Returns what was removed."""
        from outfeed.steps.housekeeping import remove_expired

        return remove_expired(resolve.staging_root(), dt.datetime.now(dt.UTC))


class ExpireLinksOperator(BaseOperator):
    """Removes the files of links that have ended (XX-09, DX-041)."""

    def execute(self, context: Context) -> dict[str, int]:
        """Returns what was removed."""
        from outfeed.steps.housekeeping import remove_expired_links
        from outfeed_airflow.links import open_folder

        with resolve.ledger() as ledger:
            ledger.migrate()
            return remove_expired_links(ledger, open_folder, dt.datetime.now(dt.UTC))


class EndUploadsOperator(BaseOperator):
    """Removes what uploads have left at places to which nothing is delivered any more (XX-03)."""

    def __init__(self, *, customers: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.customers = customers

    def execute(self, context: Context) -> dict[str, int]:
        """Returns how many were ended, stay for now, and were given up."""
        from outfeed.steps.unfinished import end_stale

        destinations = {
            (customer, destination.location()): destination
            for customer, config in load_customers(self.customers).items()
            for destination in config.destinations
        }
        with resolve.ledger() as ledger:
            ledger.migrate()
            return end_stale(ledger, destinations, resolve.destination_credentials, dt.datetime.now(dt.UTC))


class LatenessOperator(BaseOperator):
    """Fails, and tells the operators, if a live customer misses a window that was due.

    Finds also what no failed run can tell: windows for which no run was ever made.
    """

    def __init__(self, *, customers: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.customers = customers

    def execute(self, context: Context) -> dict[str, int]:
        """Returns how many customers were looked at."""
        from outfeed.steps.housekeeping import late_windows

        configs = load_customers(self.customers)
        now = dt.datetime.now(dt.UTC)
        with resolve.ledger() as ledger:
            ledger.migrate()
            late = late_windows(configs, ledger, now)
        if not late:
            return {"customers": len(configs)}
        for window in late:
            log.error("late: %s", window)
        for connection, message in late_messages(late, configs, now):
            send_mail(connection, message)
        raise TerminalError(
            f"{len(late)} windows are late, the first: {late[0]}",
            action=Action.OPERATOR,
            remedy="look at the failed runs of these customers; windows without a run need a backfill",
        )


def load_customers(folder: Path) -> dict[str, CustomerConfig]:
    """The configurations in a folder; a broken one is an import error already, and holds up no other."""
    from outfeed.config.load import load_config

    configs = {}
    for file in sorted(folder.glob("*.yaml")):
        try:
            configs[file.stem] = load_config(file)
        except ConfigError as error:
            log.warning("%s", error)
    return configs


def late_messages(
    late: Sequence[LateWindow], configs: dict[str, CustomerConfig], now: dt.datetime
) -> list[tuple[str, Message]]:
    """One mail per address of our operators, with the mail server's connection."""
    from outfeed.steps.notify import Message

    lines: dict[tuple[str, str], list[str]] = defaultdict(list)
    for window in late:
        notify = configs[window.customer].notify
        for address in notify.operators:
            lines[notify.connection, address].append(str(window))
    found = []
    for (connection, address), windows in sorted(lines.items()):
        text = "These windows should have been delivered by now:\n\n" + "\n".join(windows) + "\n"
        message = Message(
            to=address,
            subject=f"[Outfeed] {len(windows)} windows are late",
            text=text,
            html=f"<pre>{html.escape(text)}</pre>",
            message_id=f"<late.{now:%Y%m%d}.{address.replace('@', '.')}@outfeed>",
        )
        found.append((connection, message))
    return found
