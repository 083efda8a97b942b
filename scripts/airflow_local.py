"""A whole Airflow on this machine: scheduler, API server and DAG processor, on the loopback interface only.

The one place that knows the environment in which Outfeed runs outside of a container: `make`, the demo and
the tests all take it from here.

    python -m scripts.airflow_local up | down | status | exec -- COMMAND…

OUTFEED_HOME names another home, OUTFEED_AIRFLOW_PORT another port; the mail server takes the port that is as
far below it as 8025 is below 8080.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import httpx

from scripts.airflow_rest import AirflowRest
from scripts.processes import end_all, running, spawn

ROOT = Path(__file__).resolve().parent.parent
USER = "admin"
HOST = "127.0.0.1"

COMPONENTS = {
    "api-server": ["airflow", "api-server"],
    "scheduler": ["airflow", "scheduler", "--skip-serve-logs"],
    "dag-processor": ["airflow", "dag-processor"],
}
_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
#: With SQLite, an API server that gets two writing requests at once blocks itself and the database for some
#: seconds. These end for good if they wait no longer than Airflow's five.
_PATIENT = ("scheduler", "dag-processor")
API_PORT = 8080
#: Where the connection `smtp_default` of airflow_settings.yaml finds its mail server.
MAIL_PORT = 8025
PORT_VARIABLE = "OUTFEED_AIRFLOW_PORT"
HOME_VARIABLE = "OUTFEED_HOME"
#: Below them only root may listen.
_PORTS = range(1024 + API_PORT - MAIL_PORT, 65536)


class LocalAirflowError(RuntimeError):
    """What keeps an Airflow from running on this machine, in a sentence for whoever starts it."""


@dataclasses.dataclass
class LocalAirflow:
    """One Airflow with a home folder of its own; several may run at once with different homes and ports.

    Args:
        home: OUTFEED_HOME: Airflow's database and secrets, logs, staging, the ledger, delivered files.
        port: of the API server.
        dags_folder: the DAG bundle.
        settings_file: connections, pools and variables to load at start, or None for none.
        overrides: environment variables that win over those of `env`.
        mail_port: of a mail server that keeps mails in `<home>/mail`, or None for none.
        die_with_parent: whether the processes end with the one that started them.
    """

    home: Path
    port: int = API_PORT
    dags_folder: Path = ROOT / "dags"
    settings_file: Path | None = ROOT / "airflow_settings.yaml"
    overrides: Mapping[str, str] = dataclasses.field(default_factory=dict)
    mail_port: int | None = MAIL_PORT
    die_with_parent: bool = False

    def __post_init__(self) -> None:
        self.home = self.home.absolute()

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Keys and the admin's password, made at the first call and kept in a private file."""
        file = self.airflow_home / "secrets.json"
        if not file.exists():
            from cryptography.fernet import Fernet

            made = {
                "fernet_key": Fernet.generate_key().decode(),
                "secret_key": secrets.token_urlsafe(32),
                "jwt_secret": secrets.token_urlsafe(48),
                "password": secrets.token_urlsafe(12),
            }
            _write_private(file, made)
        loaded: dict[str, str] = json.loads(file.read_text())
        return loaded

    def settings(self) -> dict[str, str]:
        """What Outfeed needs of Airflow's configuration, as environment variables."""
        passwords = self.airflow_home / "passwords.json"
        bundle = {
            "name": "outfeed",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(self.dags_folder), "refresh_interval": 5},
        }
        return {
            "OUTFEED_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "include"), str(ROOT / "plugins")]),
            "OUTFEED_PUBLIC_URL": self.url,
            "AIRFLOW_HOME": str(self.airflow_home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags_folder),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__FERNET_KEY": self.secrets["fernet_key"],
            "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "3",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "30",
            # With its default of 30 s a second edit within 30 s is not stored.
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            _DATABASE: f"sqlite:///{self.airflow_home / 'airflow.db'}",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
            "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
            # Edited files are parsed at once whatever this is; the others need not be parsed again.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            # Between two tasks of a chain a run waits for the scheduler's next look: 2 to 3 s less in a whole
            # run than with Airflow's 1 s, for 5 % of one core more when nothing runs.
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": self.secrets["secret_key"],
            "AIRFLOW__API_AUTH__JWT_SECRET": self.secrets["jwt_secret"],
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs" / "tasks"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
                self.home / "logs" / "parsing"
            ),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            # gcsfs otherwise asks a control API that emulators and many service accounts do not answer.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            **self.overrides,
        }

    def env(self) -> dict[str, str]:
        """The environment of every process: this machine's, without settings of another Airflow."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
        # So that `exec -- airflow …` and `exec -- outfeed …` find the programs of this virtual environment.
        path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")])
        return {**inherited, "PATH": path, **self.settings()}

    def _component_env(self, name: str) -> dict[str, str]:
        env = self.env()
        database = env[_DATABASE]
        if name in _PATIENT and database.startswith("sqlite"):
            env[_DATABASE] = f"{database}?timeout=60"
        return env

    def prepare(self) -> None:
        """Database up to date, password file written, connections and pools loaded."""
        env = self.env()
        _write_private(
            Path(env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]), {USER: self.secrets["password"]}
        )
        arguments = [str(self.settings_file)] if self.settings_file else []
        if arguments and self.mail_port is not None:
            arguments.append(str(self.mail_port))
        self.run([sys.executable, "-m", "scripts.load_airflow_settings", *arguments])

    def run(self, command: list[str]) -> None:
        """Runs a command of ours to its end in this environment.

        Raises:
            LocalAirflowError: with its output, if it fails.
        """
        done = subprocess.run(
            command,
            env=self.env(),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LocalAirflowError(
                f"{' '.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
            )

    def start(self, timeout: float = 300) -> None:
        """All components run and answer; what an earlier start of this home left behind is ended first.

        Raises:
            LocalAirflowError: a port is in use, or a component does not come up.
        """
        end_all(self.home)
        components = dict(COMPONENTS)
        _require_free(self.port, "the API server")
        if self.mail_port is not None:
            _require_free(self.mail_port, "the local mail server")
            components["mail"] = ["scripts.mail_sink", str(self.mail_port), str(self.home / "mail")]
        self.prepare()
        started = {
            name: spawn(
                name,
                [sys.executable, "-m", *arguments],
                self._component_env(name),
                home=self.home,
                cwd=ROOT,
                die_with_parent=self.die_with_parent,
            )
            for name, arguments in components.items()
        }
        try:
            self._wait_until_healthy(started, timeout)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Nothing of this Airflow runs any more, also what its components had started."""
        end_all(self.home)

    def health(self) -> dict[str, str]:
        """State by component, as the API server sees it; empty if it does not answer."""
        try:
            answer = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return {}
        return {name: answer[name]["status"] for name in ("metadatabase", "scheduler", "dag_processor")}

    def rest(self) -> AirflowRest:
        """A client, logged in as the admin."""
        return AirflowRest(self.url, USER, self.secrets["password"])

    def _wait_until_healthy(self, started: Mapping[str, subprocess.Popen[bytes]], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while set((health := self.health()).values()) != {"healthy"}:
            for name, process in started.items():
                if process.poll() is not None:
                    raise LocalAirflowError(f"{name} ended by itself; see {self.home / 'logs' / name}.log")
            if time.monotonic() > deadline:
                raise LocalAirflowError(f"Airflow did not come up: {health}; see {self.home / 'logs'}")
            time.sleep(0.5)


def chosen_port() -> int:
    """OUTFEED_AIRFLOW_PORT, or the usual one.

    Raises:
        LocalAirflowError: it is no number that both servers could use.
    """
    text = os.environ.get(PORT_VARIABLE) or str(API_PORT)
    if not text.isascii() or not text.isdigit() or int(text) not in _PORTS:
        raise LocalAirflowError(
            f"{PORT_VARIABLE} is {text!r}: it must be a number from {_PORTS.start} to {_PORTS.stop - 1}"
        )
    return int(text)


def mail_port_beside(port: int) -> int:
    """The mail server's port beside the API server's, so that one variable moves both."""
    return port - API_PORT + MAIL_PORT


def chosen_airflow() -> LocalAirflow:
    """The Airflow that OUTFEED_HOME and OUTFEED_AIRFLOW_PORT choose, with the DAGs of its home if it has any.

    Raises:
        LocalAirflowError: either of them can't be what it should be.
    """
    home, port = Path(os.environ.get(HOME_VARIABLE) or ROOT / ".outfeed").absolute(), chosen_port()
    nearest = next(path for path in (home, *home.parents) if path.exists())
    if not nearest.is_dir():
        raise LocalAirflowError(f"{HOME_VARIABLE} is {home}: it must be a folder, and {nearest} is none")
    # The demo has customers of its own.
    own = home / "dags"
    dags = own if own.is_dir() else ROOT / "dags"
    return LocalAirflow(home=home, port=port, dags_folder=dags, mail_port=mail_port_beside(port))


def _require_free(port: int, whose: str) -> None:
    """Otherwise the health of somebody else's Airflow would be taken for ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise LocalAirflowError(
                f"port {port} of {HOST} is in use, and {whose} needs it: end what listens there, or choose "
                f"other ports with {PORT_VARIABLE}=…"
            ) from None


def _write_private(file: Path, content: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(content, stream)


def _up(airflow: LocalAirflow) -> int:
    airflow.start()
    print(f"Airflow runs at {airflow.url}\n  user {USER}, password {airflow.secrets['password']}")
    print(f'  its commands `outfeed` and `airflow`: export PATH="{ROOT / "bin"}:$PATH"')
    return 0


def _down(airflow: LocalAirflow) -> int:
    airflow.stop()
    print("Airflow is down")
    return 0


def _status(airflow: LocalAirflow) -> int:
    health = airflow.health()
    processes = len(running(airflow.home))
    print(f"{airflow.url}: {processes} processes, {health or 'no answer'}")
    return 0 if set(health.values()) == {"healthy"} else 1


def _exec(airflow: LocalAirflow, command: list[str]) -> int:
    if not (airflow.airflow_home / "airflow.db").exists():
        print("Making Airflow's database first, once", file=sys.stderr)
        airflow.prepare()
    return subprocess.run(command, env=airflow.env(), check=False).returncode


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code of `exec` is that of its command."""
    parser = argparse.ArgumentParser(
        prog="airflow_local", description="Airflow with Outfeed on this machine."
    )
    parser.add_argument("action", choices=["up", "down", "status", "exec"])
    parser.add_argument("command", nargs=argparse.REMAINDER, help="for exec: the command, after --")
    chosen = parser.parse_args(arguments)
    command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
    if chosen.action == "exec" and not command:
        parser.error("exec needs a command, after --")
    try:
        airflow = chosen_airflow()
        if chosen.action == "exec":
            return _exec(airflow, command)
        return {"up": _up, "down": _down, "status": _status}[chosen.action](airflow)
    except (LocalAirflowError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
