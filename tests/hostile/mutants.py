"""Bugs planted into the product, to see that the stories find them: `python -m tests.hostile.mutants`.

A mutant is one method with one text replaced. It counts as found when a story of one of its connectors, among
the first hundred that may show it, has a violation.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import itertools
import logging
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from outfeed.connectors import ftp_file, gcs, local, s3_client, s3_objects, sftp_base, sftp_file
from outfeed.steps import file_log, upload
from tests.hostile.ground import Ground
from tests.hostile.report import Planted, write_planted
from tests.hostile.run import run_seed
from tests.hostile.story import tell

#: Stories after which a mutant counts as not found.
STORIES = 100


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One planted bug: in `owner.name`, `old` becomes `new`.

    Attributes:
        fault: the kind of fault without which no story shows it, where few stories have one.
    """

    what: str
    connectors: tuple[str, ...]
    owner: Any
    name: str
    old: str
    new: str
    fault: str | None = None


MUTANTS = (
    Mutant(
        "SFTP: the size is not compared",
        ("sftp",),
        sftp_file.SftpDelivery,
        "_write",
        "if size != written:",
        "if False:",
    ),
    Mutant(
        "SFTP: an error at close is swallowed",
        ("sftp",),
        sftp_file.SftpDelivery,
        "_write",
        "requests.append(_started(session.call(handle.close)))",
        "await asyncio.gather(*requests, session.call(handle.close), return_exceptions=True)\n"
        "        requests.clear()",
    ),
    Mutant(
        "SFTP: a file has its final name before it is whole",
        ("sftp",),
        sftp_file.SftpDelivery,
        "_from_start",
        'if self._base.rename == "none":',
        "if True:",
    ),
    Mutant(
        "SFTP: a lost answer to rename is taken for a yes",
        ("sftp",),
        sftp_file.SftpDelivery,
        "_publish",
        "except asyncssh.SFTPError as error:",
        "except (asyncssh.ConnectionLost, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):\n"
        "        return\n"
        "    except asyncssh.SFTPError as error:",
    ),
    Mutant(
        "SFTP: leftovers of dead tries stay",
        ("sftp",),
        sftp_base.SftpBase,
        "_remove_leftovers",
        "self._is_dead(name, age)",
        "False",
    ),
    Mutant(
        "FTP: the size is not compared",
        ("ftp", "ftps"),
        ftp_file.FtpDelivery,
        "_verify",
        "found.bytes not in (None, reader.bytes)",
        "False",
        "half",
    ),
    Mutant(
        "FTP: a lost answer to rename is taken for a yes",
        ("ftp", "ftps"),
        ftp_file.FtpDelivery,
        "_publish",
        "raise _UnansweredError(aside, lost) from lost",
        "return",
    ),
    Mutant(
        "FTP: a lost answer to rename is not looked after",
        ("ftp", "ftps"),
        ftp_file.FtpDelivery,
        "_settle",
        "if moved and found is not None",
        "if found is not None:\n"
        "        raise conflict(file.path, self._base.location, '?', '?')\n"
        "    if moved and found is not None",
    ),
    Mutant(
        "FTP: nobody looks whether the name is free",
        ("ftp", "ftps"),
        ftp_file.FtpDelivery,
        "_require_free",
        "if existing is not None:",
        "if False:",
    ),
    Mutant(
        "S3: an object is created without the condition",
        ("s3",),
        s3_objects.S3Objects,
        "put",
        "digest | dict(self.condition)",
        "dict(digest)",
    ),
    Mutant(
        "S3: a busy service ends the run",
        ("s3", "google"),
        s3_client,
        "_refusal",
        "code in _THROTTLED or status == 429 or (status >= 500",
        "(status >= 600",
    ),
    Mutant(
        "GCS: an object is created without the condition",
        ("gcs",),
        gcs.GcsConnector,
        "_send",
        "if_generation_match=0,",
        "",
    ),
    Mutant(
        "Local: the size is not compared",
        ("local",),
        local.LocalConnector,
        "_write",
        "if written != reader.bytes:",
        "if False:",
    ),
    Mutant(
        "Local: the name is given by a rename that overwrites",
        ("local",),
        local.LocalConnector,
        "_publish",
        "os.link(aside, final)",
        "os.link(aside, final) if not final.exists() else aside.replace(final)",
    ),
    Mutant(
        "Upload: the marker does not wait for files that failed",
        ("local", "sftp", "ftp", "s3", "gcs", "google"),
        upload.Shipment,
        "_raise_failures",
        "if self.failures:",
        "if False:",
    ),
    Mutant(
        "Upload: the last batch never reaches the ledger",
        ("local",),
        file_log.FileLog,
        "flush",
        "self._write()",
        "pass",
    ),
)


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The product has the bug."""
    original = inspect.getattr_static(mutant.owner, mutant.name)
    function = inspect.unwrap(getattr(original, "__func__", original))
    source = textwrap.dedent(inspect.getsource(function))
    if mutant.old not in source:
        raise LookupError(f"{mutant.what}: {mutant.name} has no {mutant.old!r} any more")
    names = sys.modules[function.__module__].__dict__
    made: dict[str, Any] = {}
    text = f"from __future__ import annotations\n{source.replace(mutant.old, mutant.new)}"
    exec(compile(text, "mutant", "exec"), names, made)
    changed = made[mutant.name]
    with mock.patch.object(mutant.owner, mutant.name, changed):
        yield


def seed_that_finds(ground: Ground, mutant: Mutant) -> tuple[int | None, str]:
    """The story that found it, and what was wrong there; an empty text if none did.

    A story that has a violation without the mutant, too, finds nothing.
    """
    for seed in itertools.islice(_seeds(mutant), STORIES):
        with planted(mutant):
            found = run_seed(ground, seed, mutant.connectors).violations
        if found and not _without(ground, mutant, seed):
            return seed, found[0]
    return None, ""


def _seeds(mutant: Mutant) -> Iterator[int]:
    """Stories that may show it."""
    for seed in itertools.count():
        faults = (fault.kind for trial in tell(seed, mutant.connectors).trials for fault in trial.faults)
        if mutant.fault is None or mutant.fault in faults:
            yield seed


def _without(ground: Ground, mutant: Mutant, seed: int) -> list[str]:
    return run_seed(ground, seed, mutant.connectors).violations


def main() -> int:
    """Exit code 1 if a mutant survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only bugs in whose description one of these stands")
    parser.add_argument("--report", type=Path, help="page to write, docs/hostile.md")
    arguments = parser.parse_args()
    logging.disable()
    bugs: list[Planted] = []
    with Ground() as ground:
        for mutant in MUTANTS:
            if arguments.words and not any(word in mutant.what for word in arguments.words):
                continue
            seed, found = seed_that_finds(ground, mutant)
            bugs.append(Planted(mutant.what, mutant.connectors, seed, found[:120]))
            verdict = "SURVIVED" if seed is None else f"found by {seed}"
            if arguments.report:
                write_planted(arguments.report, bugs, STORIES)
            print(f"{verdict}: {mutant.what}: {found[:160]}", flush=True)
    return 1 if any(bug.seed is None for bug in bugs) else 0


if __name__ == "__main__":
    sys.exit(main())
