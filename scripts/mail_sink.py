"""A mail server on the loopback interface that keeps what it is given: one .eml file per mail.

python -m scripts.mail_sink PORT FOLDER
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller


class KeepMail:
    """Accepts every mail and writes it down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """One file per mail, named so that they sort by arrival."""
        recipient = "_".join(envelope.rcpt_tos).replace("/", "_")
        (self.folder / f"{time.time_ns()}-{recipient}.eml").write_bytes(envelope.content)
        return "250 kept"


def main(port: int, folder: Path) -> None:
    """Runs until it is ended."""
    controller = Controller(KeepMail(folder), hostname="127.0.0.1", port=port)
    controller.start()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
