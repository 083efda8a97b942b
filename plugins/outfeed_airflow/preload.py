"""What every task and every parse of a customer's file needs; the plugin imports it.

Airflow forks a process for each task and each file. What its parent has imported is there at once; otherwise
each of them would spend a third of a second of processor time on the same imports. Drivers and cloud SDKs are
not among them: a process needs one of them at most, and parsing needs none (design §1).
"""

from __future__ import annotations

from airflow.dag_processing import dagbag
from upath.implementations import local

from outfeed import ledger, sources
from outfeed.config import load
from outfeed.sources import engines
from outfeed.steps import extract, notify, package, start, upload, validate
from outfeed_airflow import dag_factory

__all__ = [
    "dag_factory",
    "dagbag",
    "engines",
    "extract",
    "ledger",
    "load",
    "local",
    "notify",
    "package",
    "sources",
    "start",
    "upload",
    "validate",
]
