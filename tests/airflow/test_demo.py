"""What the demo may be started beside, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from scripts import demo
from scripts.airflow_local import ROOT, LocalAirflowError
from scripts.processes import end_all, spawn

pytestmark = pytest.mark.airflow


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own for the demo, with what an earlier one left."""
    shutil.copytree(ROOT / "dags", tmp_path / "dags")
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    monkeypatch.setattr(demo, "HOME", tmp_path / ".outfeed" / "demo")
    monkeypatch.delenv("OUTFEED_HOME", raising=False)
    (tmp_path / ".outfeed" / "demo").mkdir(parents=True)
    (tmp_path / ".outfeed" / "demo" / "ledger.db").touch()
    return tmp_path


def test_a_broken_file_of_another_customer_does_not_stop_the_demo(checkout: Path) -> None:
    # XX-07
    (checkout / "dags" / "customers" / "broken.yaml").write_text("type: [broken")
    demo.make_home()
    copied = {file.stem for file in (demo.HOME / "dags" / "customers").iterdir()}
    assert copied == set(demo.CUSTOMERS)
    assert (demo.HOME / "dags" / "housekeeping.py").is_file()
    assert not (demo.HOME / "ledger.db").exists()


def test_the_home_of_a_demo_whose_airflow_runs_is_left_alone(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spawn(
        "sleeper",
        [sys.executable, "-c", "import time; time.sleep(600)"],
        os.environ,
        home=demo.HOME,
        cwd=checkout,
        die_with_parent=True,
    )
    try:
        assert demo.main() == 1
    finally:
        end_all(demo.HOME)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("demo: an Airflow of an earlier demo runs")
    assert line.endswith("OUTFEED_HOME=.outfeed/demo make down")
    assert (demo.HOME / "ledger.db").exists()


def test_a_customer_of_the_demo_that_is_gone_is_named_before_anything_is_deleted(checkout: Path) -> None:
    (checkout / "dags" / "customers" / "fjord-video.yaml").unlink()
    with pytest.raises(LocalAirflowError, match=r"dags/customers/fjord-video\.yaml is missing"):
        demo.make_home()
    assert (demo.HOME / "ledger.db").exists()


def test_a_home_that_somebody_asked_for_is_said_not_to_be_used(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTFEED_HOME", str(checkout / "mine"))
    demo.make_home()
    assert (
        "OUTFEED_HOME is not used: the demo has a home of its own, .outfeed/demo" in capsys.readouterr().out
    )
    assert not (checkout / "mine").exists()
