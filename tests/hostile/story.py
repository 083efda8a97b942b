"""What a seed decides: a customer's files, what fails in which try, and whether somebody repairs it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

from tests.flow.world import SITE_A, SITE_B

CONNECTORS = ("sftp", "ftp", "ftps", "s3", "gcs", "google", "azure_blob", "local")

#: Those whose names lie in real folders.
FOLDERS = frozenset({"sftp", "ftp", "ftps", "local"})

#: For as long as a try lasts.
ALWAYS = 1_000_000

#: Kinds that no retry cures: somebody must act, and the product must say who.
TERMINAL = frozenset({"denied", "expired", "skewed", "full", "quota", "host key", "revoked"})

#: Kinds after which nothing may come until the client's own time limit: they get a short one.
SILENT = frozenset({"stall", "mute", "data stall"})

_SITES = (SITE_A, SITE_B, "0d5f6f5e-7b1c-4c38-9d1a-55f1b0a4c001", "f4f2a9f0-5f2b-4a57-8a0e-2f3c4d5e6f70")

_NAMES = (
    "plain.png",
    "with space.png",
    " leading.jpg",
    "Größe – 写真 🗺.png",
    "e\u0301 decomposed.png",
    "per%20cent+plus&and=.png",
    "quote'\"$(rm).png",
    "-dash.png",
    "10:00:00.png",
    f"{'x' * 150}.png",
    "a/b/c/d/e/f/g/deep.png",
    "a/b/c/other.png",
    "#hash.png",
    "empty.png",
)


@dataclasses.dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, at the operation number `after` of its kind, so many times.

    Attributes:
        kind: what happens.
        op: which operations count; several are separated by `|`, empty means bytes or the whole try.
        after: operations (or bytes) before it happens.
        times: how often in a row.
        amount: a status, a code, a number of bytes.
    """

    kind: str
    op: str = ""
    after: int = 0
    times: int = 1
    amount: int = 0

    def __str__(self) -> str:
        often = "always" if self.times >= ALWAYS else f"{self.times}x"
        return f"{self.kind} at {self.op or 'byte'} #{self.after} {often} ({self.amount})"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One try.

    Attributes:
        faults: what goes wrong.
        twin: whether an orphan, as a dead supervisor leaves it, works beside it.
        foreign: numbers of files whose names somebody else takes before.
        blocked: number of the site where somebody else has put a file in place of a folder.
    """

    faults: tuple[Fault, ...] = ()
    twin: bool = False
    foreign: tuple[int, ...] = ()
    blocked: int | None = None

    @property
    def silent(self) -> bool:
        """Whether something will wait for a time limit."""
        return any(fault.kind in SILENT for fault in self.faults)


@dataclasses.dataclass(frozen=True)
class Story:
    """One run.

    Attributes:
        server: which kind of server, where there are several.
        sites: bytes of each site's data file.
        images: name and bytes of each image, by site.
        missing: names of images that the platform has lost, by site.
        trials: what goes wrong, try by try; afterwards nothing does.
        lasting: what never ends; then the run can't succeed.
        repaired: whether somebody ends a terminal fault and clears the task.
        again: whether a finished task is cleared once more.
    """

    seed: int
    connector: str
    server: str
    verify: str
    parallel: int
    portable: bool
    test_export: bool
    sites: dict[str, int]
    images: dict[str, dict[str, int]]
    missing: dict[str, tuple[str, ...]]
    trials: tuple[Trial, ...]
    lasting: bool
    repaired: bool
    again: bool

    def content(self, name: str, size: int) -> bytes:
        """Bytes that no other file of any seed has, unless it is empty."""
        return random.Random(f"{self.seed} {name}").randbytes(size)


def tell(seed: int, connectors: tuple[str, ...] = CONNECTORS) -> Story:
    """The story of a seed; the same one each time."""
    dice = random.Random(f"outfeed {seed}")
    connector = connectors[seed % len(connectors)]
    server = _server(connector, dice)
    sites = {site: _size(dice, connector) for site in _SITES[: dice.randint(1, 3)]}
    images: dict[str, dict[str, int]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    for site in sites:
        names = dice.sample(_NAMES, dice.randint(0, 5))
        images[site] = {name: 0 if name == "empty.png" else _small(dice) for name in names}
        missing[site] = ("lost by the platform.png",) if dice.random() < 0.15 else ()
    menu = MENUS[server]
    lasting = dice.random() < 0.1
    if lasting:
        trials: tuple[Trial, ...] = (Trial((dice.choice(LASTING[server])(dice),)),)
    else:
        files = len(sites) + sum(len(names) for names in images.values())
        trials = tuple(_trial(dice, menu, files) for _ in range(dice.choice((1, 1, 2, 2, 3, 4))))
        trials = _blocked(seed, connector, trials)
    return Story(
        seed=seed,
        connector=connector,
        server=server,
        verify=dice.choice(("size", "read-back")),
        parallel=dice.choice((1, 1, 2, 4)),
        portable=dice.random() < 0.3,
        test_export=dice.random() < 0.5,
        sites=sites,
        images=images,
        missing=missing,
        trials=trials,
        lasting=lasting,
        repaired=dice.random() < 0.75,
        again=dice.random() < 0.3,
    )


def _server(connector: str, dice: random.Random) -> str:
    if connector == "sftp":
        return dice.choice(("openssh", "sftp", "sftp", "sftp overwrites"))
    if connector in ("ftp", "ftps"):
        return dice.choice(("ftp", "ftp", "ftp", "ftp", "ftp no rename"))
    return connector


def _trial(dice: random.Random, menu: list[Callable[[random.Random], Fault]], files: int) -> Trial:
    faults = tuple(dice.choice(menu)(dice) for _ in range(dice.choice((1, 1, 1, 2, 3))))
    foreign = (dice.randrange(files + 1),) if dice.random() < 0.12 else ()
    return Trial(faults, dice.random() < 0.12, foreign)


def _blocked(seed: int, connector: str, trials: tuple[Trial, ...]) -> tuple[Trial, ...]:
    """Where there are folders, one of them can't be made; all other files can be delivered."""
    dice = random.Random(f"outfeed blocked {seed}")
    if connector not in FOLDERS or dice.random() >= 0.15:
        return trials
    return (dataclasses.replace(trials[0], blocked=dice.randrange(len(_SITES))), *trials[1:])


def _small(dice: random.Random) -> int:
    return dice.choice((1, dice.randint(2, 3_000), dice.randint(3_000, 120_000)))


def _size(dice: random.Random, connector: str) -> int:
    size = dice.choice((0, 1, _small(dice), _small(dice), dice.randint(120_000, 1_500_000), 3_000_000))
    # More than one request at the object stores.
    large = connector in ("s3", "gcs", "google", "azure_blob") and dice.random() < 0.12
    return dice.randint(8_400_000, 9_500_000) if large else size


# -- what can go wrong, by server

_Maker = Callable[[random.Random], Fault]


def _at(
    kind: str, ops: str, most: int = 6, times: tuple[int, ...] = (1,), amounts: tuple[int, ...] = (0,)
) -> _Maker:
    """A fault at one of the operations named."""
    return lambda dice: Fault(
        kind, dice.choice(ops.split()), dice.randrange(most), dice.choice(times), dice.choice(amounts)
    )


def _bytes(kind: str) -> _Maker:
    """A fault after so many bytes of the client: few are as likely as many."""
    return lambda dice: Fault(kind, after=int(10 ** dice.uniform(0, 6.5)))


def _data(kind: str, op: str, times: tuple[int, ...] = (1,)) -> _Maker:
    """A fault within the bytes of a file."""
    return lambda dice: Fault(
        kind, op, dice.randrange(5), dice.choice(times), int(10 ** dice.uniform(0, 4.7))
    )


def _whole(kind: str) -> _Maker:
    return lambda dice: Fault(kind, times=ALWAYS)


_BYTES = [_bytes("cut"), _bytes("cut"), _bytes("deaf"), _bytes("deaf"), _bytes("gone"), _bytes("stall")]

_SFTP_OPS = "open close rename stat mkdir fsync remove scandir"
_SFTP = [
    *_BYTES,
    _whole("down"),
    _bytes("slow"),
    _at("lost", _SFTP_OPS, 8),
    _at("lost", "rename close", 5),
    _at("lost", "rename", 16),
    # The last request of all, after which nothing else shows that the connection is gone.
    _at("cut", "marker", 1),
    _at("lost", "write", 20),
    _at("cut", _SFTP_OPS + " write", 8),
    _at("mute", "rename stat write close open", 6),
    _at("short write", "write", 12, (1, 3)),
    _at("flip", "write", 12),
    _at("wrong size", "stat", 10),
    _at("full", "write open mkdir", 5, (1, ALWAYS)),
    _at("quota", "close", 6),
    _at("denied", "open rename mkdir", 4, (ALWAYS,)),
    _at("race", "rename", 6),
    _at("race", "rename", 3),
    _whole("host key"),
    _whole("revoked"),
]

_FTP_OPS = "RNFR RNTO RNTO STOR SIZE MKD CWD PASV USER PASS TYPE"
_FTP = [
    *_BYTES[2:],
    _whole("down"),
    _at("cut", _FTP_OPS, 8),
    _at("lost", _FTP_OPS, 8),
    _at("lost", "RNTO", 14),
    _at("cut", "RNTO", 14),
    _at("lost", "STOR", 6),
    _at("mute", "RNTO STOR SIZE", 6),
    _at("refuse", "RNFR RNTO STOR MKD PASV", 6, (1, 2, ALWAYS), (421, 450, 451)),
    _at("refuse", "STOR PASV", 5, (1, 2), (425, 426)),
    _at("refuse", "USER", 1, (1, 3), (421,)),
    _at("full", "STOR", 5, (1, ALWAYS), (452, 552)),
    _at("denied", "STOR MKD", 3, (ALWAYS,), (550, 553)),
    _at("revoked", "PASS", 1, (ALWAYS,), (530,)),
    _data("half", "data"),
    _data("half", "data"),
    _data("data cut", "data"),
    _data("data cut", "data"),
    _data("data stall", "data"),
    _data("flip", "data"),
    _at("wrong size", "SIZE", 8),
    _at("race", "RNTO", 5),
]

_BUSY = (429, 500, 503)
_HTTP_OPS = "put put put head get list"


def _http(ops: str, parts: str) -> list[_Maker]:
    return [
        _whole("down"),
        _at("cut", ops, 6, (1, 2, 8)),
        _at("lost", "put", 6, (1, 1, 8)),
        _at("lost", "put", 6, (1, 1, 8)),
        _at("lost", ops, 6, (1, 8)),
        # Also at the last files, manifest and marker.
        _at("lost", "put", 14, (1, 8)),
        _at("cut", "put", 14, (8,)),
        _at("lost", parts, 2, (1, 8)),
        _at("cut", parts, 2, (1, 8)),
        _at("status", parts, 2, (1, 8), _BUSY),
        _at("mute", "put head", 5, (1, 8)),
        _at("stall", "put head", 5, (1, 8)),
        _at("status", ops, 6, (1, 2, 8, ALWAYS), _BUSY),
        _at("status", "put", 6, (1, 2, 8, ALWAYS), _BUSY),
        _at("half answer", ops, 6, (1, 8)),
        _data("flip", "put", (1, 8)),
        _data("flip", parts.split(maxsplit=1)[0], (1, 8)),
        _data("half", "put"),
        _at("slow", "put", 3),
        _at("denied", ops, 5, (ALWAYS,), (403,)),
        _at("expired", ops, 5, (ALWAYS,)),
        _at("race", "put", 6),
        _at("race", "put", 3),
        _bytes("gone"),
    ]


_SKEWED = _at("skewed", "put head", 3, (ALWAYS,))
_S3 = [*_http(_HTTP_OPS, "part begin complete"), _at("wrong size", "head", 5), _SKEWED]
_GOOGLE = [*_http(_HTTP_OPS, "put"), _at("wrong size", "head", 5), _SKEWED]
_GCS = [*_http("put put put head bucket", "part begin"), _at("wrong size", "put", 5)]
_AZURE = [*_http(_HTTP_OPS, "part complete"), _at("wrong size", "head", 5)]

_LOCAL = [
    _at("lost", "link", 14),
    _at("fail", "link fsync write mkdir", 8),
    _at("full", "link fsync write mkdir", 6, (1, ALWAYS)),
    _at("denied", "link write", 4, (ALWAYS,)),
    _at("short write", "write", 6),
    _at("race", "link", 6),
]

MENUS: dict[str, list[_Maker]] = {
    "openssh": [*_BYTES, _whole("down"), _bytes("slow"), _whole("host key")],
    "sftp": _SFTP,
    "sftp overwrites": _SFTP,
    "ftp": _FTP,
    "ftp no rename": _FTP,
    "s3": _S3,
    "google": _GOOGLE,
    "gcs": _GCS,
    "azure_blob": _AZURE,
    "local": _LOCAL,
}

_ALWAYS = (ALWAYS,)
LASTING: dict[str, list[_Maker]] = {
    "openssh": [_whole("down"), _whole("host key")],
    "sftp": [
        _whole("down"),
        _whole("revoked"),
        _at("full", "write", 5, _ALWAYS),
        _at("denied", "rename", 3, _ALWAYS),
    ],
    "sftp overwrites": [
        _whole("down"),
        _at("lost", "rename", 3, _ALWAYS),
        _at("short write", "write", 3, _ALWAYS),
    ],
    "ftp": [
        _whole("down"),
        _at("refuse", "STOR", 4, _ALWAYS, (450,)),
        _at("full", "STOR", 4, _ALWAYS, (552,)),
    ],
    "ftp no rename": [_whole("down"), _at("refuse", "STOR", 4, _ALWAYS, (450,))],
    "s3": [
        _whole("down"),
        _at("status", "put", 4, _ALWAYS, (503,)),
        _at("denied", "put", 4, _ALWAYS, (403,)),
    ],
    "google": [_whole("down"), _at("status", "put", 4, _ALWAYS, (503,)), _at("expired", "put", 4, _ALWAYS)],
    "gcs": [
        _whole("down"),
        _at("status", "put", 4, _ALWAYS, (503,)),
        _at("denied", "put", 4, _ALWAYS, (403,)),
    ],
    "azure_blob": [
        _whole("down"),
        _at("status", "put", 4, _ALWAYS, (503,)),
        _at("denied", "put", 4, _ALWAYS, (403,)),
    ],
    "local": [_at("full", "write", 4, _ALWAYS), _at("denied", "link", 4, _ALWAYS)],
}
