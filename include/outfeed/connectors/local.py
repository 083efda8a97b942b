"""Delivery to a folder of this machine or a mounted share."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

from pydantic import Field

from outfeed.connectors.base import (
    BLOCK_SIZE,
    Capabilities,
    Check,
    CheckState,
    Connector,
    Credentials,
    Delivered,
    DestinationOptions,
    Outgoing,
    RemoteFile,
    Undelivered,
    safe_relative_path,
)
from outfeed.errors import Action, DestinationConflict, OutfeedError, TerminalError, TransientError

TEMPORARY_FOLDER = ".outfeed-tmp"


class LocalOptions(DestinationOptions):
    """A folder; a relative path lies under OUTFEED_HOME/delivered."""

    type: Literal["local"]
    path: str = Field(min_length=1, description="Folder; a relative one lies under OUTFEED_HOME/delivered.")

    def folder(self) -> Path:
        """The absolute folder."""
        home = Path(os.environ.get("OUTFEED_HOME", ".outfeed"))
        return (home / "delivered" / self.path).absolute()

    def location(self) -> str:
        """See the base class."""
        return f"local:{self.path}"

    def pool_name(self) -> str:
        """See the base class."""
        return "destination_local"
