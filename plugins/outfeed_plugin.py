"""The one file that Airflow scans for plugins: registers what `outfeed_airflow` offers."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from outfeed.connectors.email_link import PAGES
from outfeed_airflow import (
    listener,
    preload,  # noqa: F401 - importing it is what it is for
)
from outfeed_airflow.links import InstalledLinks
from outfeed_airflow.timetable import ExportWindowTimetable, OnceWindowTimetable


class OutfeedPlugin(AirflowPlugin):
    """Without the timetables here Airflow could not read back a DAG that uses them."""

    name = "outfeed"
    timetables: ClassVar[list[Any]] = [ExportWindowTimetable, OnceWindowTimetable]
    listeners: ClassVar[list[Any]] = [listener]
    #: Open to whoever has a token; Airflow's own users have no part in it.
    fastapi_apps: ClassVar[list[Any]] = [
        {"app": InstalledLinks(), "url_prefix": PAGES.rstrip("/"), "name": "Links to deliveries"}
    ]
