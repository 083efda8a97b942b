"""What all server helpers share: free ports, waiting for an answer, and ending what was started."""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

#: Root-owned down to `/`, as sshd's chroot and a server that runs as another user need it.
ROOT_SCRATCH = Path("/srv/outfeed-tests")


class MissingServerError(RuntimeError):
    """A server that a test needs is not installed; the message holds the line that installs it."""


def binary(name: str, install: str, *folders: Path) -> str:
    """Path of an executable: beside this Python, in `folders`, or on PATH (sbin included)."""
    candidates = [Path(sys.executable).parent / name, *(folder / name for folder in folders)]
    for candidate in candidates:
        if candidate.exists():
            return str(candidate)
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingServerError(f"{name} is not installed; install it with: {install}")
    return found


def free_ports(count: int) -> list[int]:
    """Distinct ports of 127.0.0.1 below 20,000 that are free now, and so are those 10,000 above.

    SeaweedFS takes the latter, too. No client has any of them, and no other server the upper ones.
    """
    with contextlib.ExitStack() as bound:
        return [_bound_pair(bound) for _ in range(count)]


def _bound_pair(bound: contextlib.ExitStack) -> int:
    for _ in range(200):
        port = 10_000 + secrets.randbelow(10_000)
        with contextlib.ExitStack() as pair:
            try:
                for number in (port, port + 10_000):
                    pair.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            bound.push(pair.pop_all())
            return port
    raise RuntimeError("no free port of 127.0.0.1 between 10000 and 20000")


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    """Returns when something listens on the port; raises with the end of the log when it can't any more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(
        f"{process.args!r} does not listen on {port} (exit code {process.poll()}):\n{log_end(log)}"
    )


def log_end(log: Path) -> str:
    """The last lines of a log file."""
    return log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"


@contextlib.contextmanager
def running(
    command: list[str],
    *,
    port: int,
    log: Path,
    env: dict[str, str] | None = None,
    seconds: float = 30,
    account: pwd.struct_passwd | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server process in its own group that answers on `port`; the whole group is gone afterwards.

    Args:
        account: whom the process runs as; the caller if None.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            # A killed test run must not leave servers behind.
            [*as_account(account), "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=env,
            start_new_session=True,
        )
    try:
        wait_for_port(port, process, log, seconds)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


@contextlib.contextmanager
def running_module(module: str, **options: object) -> Iterator[int]:
    """A module of ours that serves in a process of its own, told a `--port` and options; yields the port."""
    (port,) = free_ports(1)
    told = [f"--{name}={value}" for name, value in {"port": port, **options}.items()]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with (
        scratch(module.rpartition(".")[2]) as folder,
        running([sys.executable, "-m", module, *told], port=port, log=folder / "log", env=env),
    ):
        yield port


def told(**options: type) -> argparse.Namespace:
    """The port and the options that `running_module` gave to this process, of these types."""
    parser = argparse.ArgumentParser()
    for name, kind in {"port": int, **options}.items():
        parser.add_argument(f"--{name}", type=kind, required=True)
    return parser.parse_args()


def as_account(account: pwd.struct_passwd | None) -> list[str]:
    """The beginning of a command that runs as somebody else, or as the caller."""
    setpriv = binary("setpriv", "apt-get install -y util-linux")
    if account is None:
        return [setpriv]
    return [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]


def service_account(name: str, install: str) -> pwd.struct_passwd | None:
    """Whose process a server that refuses root must be; None if we are not root ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise MissingServerError(f"there is no user {name}; install it with: {install}") from None


def run_as(account: pwd.struct_passwd | None, command: list[str]) -> None:
    """Runs a command to its end; raises with its output when it fails."""
    done = subprocess.run(
        [*as_account(account), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        check=False,
    )
    if done.returncode:
        output = done.stdout.decode(errors="replace")
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{output}")


def until_let_in(connect: Callable[[], object], refusal: type[Exception]) -> None:
    """Returns when a login succeeds: a port answers a moment before its server lets anybody in."""
    deadline = time.monotonic() + 30
    while True:
        try:
            connect()
        except refusal:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def scratch(name: str, *, root_owned: bool = False) -> Iterator[Path]:
    """A folder of its own, removed afterwards; `root_owned` ones lie where no other user may write."""
    if root_owned and os.geteuid() == 0:
        ROOT_SCRATCH.mkdir(mode=0o755, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=ROOT_SCRATCH))
    else:
        folder = Path(tempfile.mkdtemp(prefix=f"outfeed-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
