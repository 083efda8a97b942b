"""What was planned, extracted, delivered, verified and announced, fenced against older tries.

Every method is one transaction. A method that takes a `Fence` records nothing, and raises
`SupersededError`, once a newer try of the same work has begun (design §2; XX-03, XX-08).
"""

from __future__ import annotations

from outfeed.ledger.access import now
from outfeed.ledger.database import Database
from outfeed.ledger.deliveries import Deliveries
from outfeed.ledger.destinations import Destinations
from outfeed.ledger.links import Links
from outfeed.ledger.runs import Runs
from outfeed.ledger.unfinished import UnfinishedUploads

__all__ = ["Ledger", "now"]


class Ledger(Runs, Deliveries, Destinations):
    """The record of every run, part, file, delivery and mail; the truth of what was sent (design §6).

    Args:
        url: SQLAlchemy URL of an SQLite file or a PostgreSQL database.

    Raises:
        ConfigError: for another URL. Every method raises TransientError or TerminalError when the
            database fails; neither names its password.
    """

    def __init__(self, url: str) -> None:
        super().__init__(Database(url))
        #: Temporary links and their use.
        self.links = Links(self._database)
        #: Uploads of large files that a later try can continue.
        self.unfinished = UnfinishedUploads(self._database)

    def migrate(self) -> None:
        """Creates or upgrades the tables; does nothing, quickly, when they are up to date."""
        self._database.migrate()

    def close(self) -> None:
        """Closes the database's connections."""
        self._database.close()
