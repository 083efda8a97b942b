"""The ledger: the truth of what was planned, delivered, verified and announced (design §6)."""

from outfeed.ledger.store import Ledger

__all__ = ["Ledger"]
