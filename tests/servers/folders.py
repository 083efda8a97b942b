"""Folders on this machine that a server serves to its user."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path


def empty_folder(folder: Path, owner: pwd.struct_passwd) -> Path:
    """Makes the folder, empty whatever was there, for the account that the server serves."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return folder
