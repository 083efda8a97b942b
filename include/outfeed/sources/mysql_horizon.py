"""How far a state of MariaDB or MySQL is complete: before which clock it shows every row there will ever be.

InnoDB does not tell which transaction wrote a row, but it tells which are open, and since when. It is taken
for granted that a row's clock is at most a minute older than the begin of its transaction, or of its
statement while that runs: so it is with `NOW()`, `CURRENT_TIMESTAMP` and clients whose clocks are right.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from outfeed.formats.columns import Kind
from outfeed.sources.tables import Delta
from outfeed.windows import Window

#: What is between a clock and the begin that the server notes for it: the server cuts that to seconds and
#: repeats a list of transactions for a tenth of one; clients have clocks of their own.
_MARGIN = dt.timedelta(minutes=1)

#: Changes when what a state says changes its meaning.
_STATE = "innodb/1"
_UNKNOWN = "unknown"

#: The server's refusal of a privilege that counts for all databases.
_NO_PRIVILEGE = 1227
_NO_PROCESS = (
    "the export's user may not see open transactions; let the database's administrator run: "
    "GRANT PROCESS ON *.* TO <the export's user>"
)
#: Settings of servers whose transactions begin elsewhere, too.
_SETTINGS = "SHOW GLOBAL VARIABLES WHERE variable_name IN ('read_only', 'wsrep_on') AND value <> 'OFF'"
_ELSEWHERE = {
    "read_only": "the server is read-only, as replicas are, which list no transactions of their primary; "
    "let the source's Airflow connection name the primary",
    "wsrep_on": "the server is a node of a Galera cluster, which lists no transactions of the other nodes",
}

#: Those that only read are left out where the server knows it.
_READS = "(trx_is_read_only = 1 OR trx_autocommit_non_locking = 1)"
#: A statement that waits for a table has its `NOW()` already, and no transaction yet.
_STATEMENTS = f"""
    SELECT utc_timestamp(6) - INTERVAL max(time) SECOND FROM information_schema.processlist
    WHERE command IN ('Query', 'Execute', 'Bulk_execute') AND id <> connection_id()
      AND id NOT IN (SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE {_READS})
"""


def utc(local: str) -> str:
    """SQL: a time in the zone of the server's machine as UTC; of an hour that comes twice the first one."""
    later = f"CONVERT_TZ({local}, 'SYSTEM', '+00:00')"
    earlier = f"{later} - INTERVAL 1 HOUR"
    return f"IF(CONVERT_TZ({earlier}, '+00:00', 'SYSTEM') = {local}, {earlier}, {later})"


# Its times are those of the machine, whatever the session's zone is.
_TRANSACTIONS = f"SELECT min({utc('trx_started')}) FROM information_schema.innodb_trx WHERE NOT {_READS}"


@dataclasses.dataclass(frozen=True)
class Horizon:
    """Every row with an older clock is in the state that is read, or was never written (VI-020).

    Attributes:
        at: the instant; None if nobody knows.
        problem: why nobody knows, and what to do.
    """

    at: dt.datetime | None
    problem: str = ""

    @property
    def state(self) -> str:
        """Kept until the next delta is read."""
        return f"{_STATE}/{self.at.isoformat() if self.at else _UNKNOWN}"


def read_horizon(cursor: Any, now: dt.datetime) -> Horizon:
    """The horizon of a snapshot that is taken afterwards.

    In this order nothing is missed: what is committed meanwhile is in the snapshot, and what begins
    meanwhile has a clock after `now`.

    Args:
        now: by the server's clock, asked for before.
    """
    from pymysql import MySQLError

    cursor.execute(_SETTINGS)
    for setting, _ in cursor.fetchall():
        return Horizon(None, _ELSEWHERE[setting])
    try:
        begins = [_instant(cursor, query) for query in (_STATEMENTS, _TRANSACTIONS)]
    except MySQLError as error:
        if error.args[0] != _NO_PRIVILEGE:
            raise
        return Horizon(None, _NO_PROCESS)
    return Horizon(min([now, *(begin for begin in begins if begin)]) - _MARGIN)


def _instant(cursor: Any, query: str) -> dt.datetime | None:
    cursor.execute(query)
    ((found,),) = cursor.fetchall()
    return dt.datetime.fromisoformat(found).replace(tzinfo=dt.UTC) if found else None


def late_window(delta: Delta) -> Window | None:
    """Where rows may lie that the previous read could not see; None if there are none, or nobody knows.

    It ends where the delta's own window begins, and begins at the horizon of the previous read, but at most
    `late_days` back.
    """
    state, _, text = (delta.seen or "").rpartition("/")
    if state != _STATE or text == _UNKNOWN or not delta.late_days:
        return None
    horizon = dt.datetime.fromisoformat(text)
    if any(column.kind is Kind.DATE for column in delta.clock):
        # A date is its midnight, whenever on that day the row was written.
        horizon = horizon.replace(hour=0, minute=0, second=0, microsecond=0)
    start = max(horizon, delta.late_from)
    return Window(start, delta.window.start) if start < delta.window.start else None


def shortcoming(delta: Delta, horizon: Horizon) -> str | None:
    """Why the next delta will not find all rows that are still to come, if so."""
    if not delta.late_days:
        return None
    if horizon.at is None:
        return horizon.problem
    if horizon.at < delta.window.end - dt.timedelta(days=delta.late_days):
        return (
            f"a transaction or statement has been open since {horizon.at.isoformat(timespec='seconds')}, "
            f"longer than delta_late_days ({delta.late_days}) reaches back; end it, or raise delta_late_days"
        )
    return None
