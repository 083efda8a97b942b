"""The commands that the README names, started as it says in a checkout of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.airflow_local import ROOT

pytestmark = pytest.mark.airflow

Shell = Callable[[str], subprocess.CompletedProcess[str]]

SFTP = """
type: work-orders
state: draft
time_zone: Europe/Paris
interval: daily
source: {connection: platform_db}
site_id: [433a60f6-9756-473e-b1e9-9e89e24bb787]
destinations:
  - {name: box, type: sftp, sftp_host: 127.0.0.1, sftp_port: 1, sftp_remote_path: /in, username: outfeed,
     trust_on_first_use: true, connection: acme_sftp}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which `make setup` has not run, beside an empty home folder of its user."""
    made = tmp_path / "checkout"
    made.mkdir()
    (tmp_path / "user").mkdir()
    for name in ("bin", "scripts", "dags"):
        shutil.copytree(ROOT / name, made / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("include", "plugins", "Makefile", "airflow_settings.yaml"):
        (made / name).symlink_to(ROOT / name)
    return made


@pytest.fixture
def shell(checkout: Path) -> Shell:
    """Runs lines as the README says, by a user who has set nothing of Airflow."""
    text = (ROOT / "README.md").read_text()
    found = re.search(r"^\$ (export PATH=\S+)", text, re.MULTILINE)
    assert found is not None
    kept = {"PATH": "/usr/bin:/bin", "HOME": str(checkout.parent / "user"), "LANG": "C.UTF-8"}

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", f"{found[1]}\n{line}"],
            env=kept,
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def set_up(checkout: Path) -> None:
    """What `make setup` makes: this virtual environment stands in for its own."""
    (checkout / ".outfeed").mkdir()
    (checkout / ".outfeed" / "venv").symlink_to(sys.prefix)


def test_before_make_setup_both_commands_say_what_is_missing(checkout: Path, shell: Shell) -> None:
    for command in ("outfeed validate", "airflow version"):
        done = shell(command)
        assert done.returncode == 1
        assert done.stderr == f"Nothing is installed in {checkout} yet: run `make setup` there first.\n"


def test_the_commands_of_the_readme_work_in_a_new_checkout(checkout: Path, shell: Shell) -> None:
    # DX-082, XX-06
    set_up(checkout)
    (checkout / "dags" / "customers" / "acme.yaml").write_text(SFTP)
    valid = shell("outfeed validate dags/customers/acme.yaml")
    assert (valid.returncode, valid.stdout) == (0, "dags/customers/acme.yaml: OK\n"), valid.stderr

    made = shell("outfeed keys create acme")
    assert made.returncode == 0, made.stderr
    (public,) = made.stdout.splitlines()
    assert public.startswith("ssh-ed25519 AAAA")
    assert f"- {public}\n" in shell("outfeed onboarding acme").stdout

    tested = shell("outfeed preflight acme")
    assert tested.returncode == 1
    assert "  FAILED   connect" in tested.stdout
    assert "[info" not in tested.stdout + tested.stderr

    stored = shell("airflow connections get acme_sftp -o plain")
    assert "acme_sftp" in stored.stdout, stored.stderr
    assert (checkout / ".outfeed" / "airflow" / "airflow.db").is_file()
    assert not (checkout.parent / "user" / "airflow").exists()


@pytest.mark.parametrize(
    ("home", "what"),
    [(None, "AIRFLOW_HOME is not set"), ("absent", "is no folder"), ("other", "without Outfeed's")],
)
def test_another_airflow_is_refused_and_none_is_made(home: str | None, what: str, tmp_path: Path) -> None:
    # XX-06
    (tmp_path / "other").mkdir()
    env = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT / "include"), str(ROOT / "plugins")]),
    }
    if home is not None:
        env["AIRFLOW_HOME"] = str(tmp_path / home)
    done = subprocess.run(
        [sys.executable, "-m", "outfeed_airflow", "runs"],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert what in line
    assert "in a checkout use `bin/outfeed`" in line
    assert not list(tmp_path.rglob("airflow.db"))
    assert not (tmp_path / "airflow").exists()
    assert not (tmp_path / "absent").exists()
