"""What was understood of an old installation: the customer's file, and all that is left to people."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from outfeed.migration.env_text import Setting


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of the file, and where it comes from."""

    key: str
    value: Any
    origin: str = ""


@dataclasses.dataclass(frozen=True)
class NewConnection:
    """An Airflow connection to create.

    Attributes:
        secret: the variable that holds the secret, never the secret.
        holder: the field of the connection that holds it.
        note: where the secret comes from, for people.
    """

    name: str
    kind: str
    secret: str
    note: str
    login: str = ""
    host: str = ""
    port: int | str | None = None
    holder: str = "password"

    def lines(self) -> list[str]:
        """A comment that describes it, and the command that creates it."""
        fields = [f"type {self.kind}"]
        fields += [f"host {self.host}"] if self.host else []
        fields += [f"port {self.port}"] if self.port else []
        fields += [f"login {self.login}"] if self.login else []
        command = ["airflow connections add", self.name, "--conn-type", self.kind]
        for name, value in (("host", self.host), ("port", self.port), ("login", self.login)):
            command += [f"--conn-{name}", shlex.quote(str(value))] if value else []
        command += [f"--conn-{self.holder}", f'"${self.secret}"']
        return [f"# {self.name}: {', '.join(fields)}; {self.note}", " ".join(command)]


@dataclasses.dataclass
class Imported:
    """The result.

    Attributes:
        schedules: by the name of the job.
        destinations: the options of each.
        left_out: what could not be carried over, and what happens instead.
        to_do: what a person must do before the customer goes live.
    """

    options: list[Option] = dataclasses.field(default_factory=list)
    schedules: list[Option] = dataclasses.field(default_factory=list)
    destinations: list[list[Option]] = dataclasses.field(default_factory=list)
    connections: list[NewConnection] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)
    to_do: list[str] = dataclasses.field(default_factory=list)

    def leave_out(self, setting: Setting, why: str) -> None:
        """Lists a setting that could not be carried over."""
        self.left_out.append(f"{setting.place}: {why}")
