"""Delivery to a folder of this machine or a mounted share."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from outfeed.connectors.base import Connector, DestinationOptions


class LocalOptions(DestinationOptions):
    """A folder; a relative path lies under OUTFEED_HOME/delivered."""

    type: Literal["local"]
    path: str = Field(min_length=1, description="Folder; a relative one lies under OUTFEED_HOME/delivered.")

    @field_validator("path")
    @classmethod
    def _normal_path(cls, value: str) -> str:
        if ".." in value.split("/") or re.search(r"[\x00-\x1f]", value):
            raise ValueError(f"{value!r} is no folder: '..' and control characters are refused")
        return str(Path(value))

    def folder(self) -> Path:
        """The absolute folder."""
        home = Path(os.environ.get("OUTFEED_HOME", ".outfeed"))
        return (home / "delivered" / self.path).absolute()

    def location(self) -> str:
        """`local:<path>` as configured: the same on every worker, wherever its OUTFEED_HOME is."""
        return f"local:{self.path}"

    def pool_name(self) -> str:
        """One pool for this machine's disks."""
        return "destination_local"


class LocalConnector(Connector):
    """Delivers to a folder."""

    type = "local"
    options_model = LocalOptions
