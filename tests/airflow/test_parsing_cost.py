"""What a parse of a customer's file, and a task, need not do again: counted, not timed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scripts.airflow_local import ROOT
from tests.airflow.conftest import CUSTOMER, LOCAL
from tests.airflow.dags import dag_of
from tests.airflow.test_importer import HEAVY

pytestmark = pytest.mark.airflow

_PARSE = """
import sys
from pathlib import Path
import airflow
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
from outfeed_airflow.yaml_importer import CustomerYamlImporter
before = set(sys.modules)
print("STEPS", *sorted(name for name in before if name.startswith("outfeed.steps.")))
print("HEAVY", *before.intersection(sys.argv[3:]))
result = CustomerYamlImporter().import_file(Path(sys.argv[1]), bundle_path=Path(sys.argv[2]))
assert result.dags and not result.errors, result.errors
print("NEW", *sorted(name for name in set(sys.modules) - before if name.startswith("outfeed")))
"""


@pytest.fixture(scope="module")
def parsed() -> dict[str, list[str]]:
    """What a process that has loaded the plugin has, and what parsing a customer adds."""
    path = LOCAL.dags_folder / "customers" / "parsing-cost.yaml"
    path.write_text(CUSTOMER)
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(path), str(LOCAL.dags_folder), *HEAVY],
        env=LOCAL.env(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    path.unlink()
    assert done.returncode == 0, done.stderr
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[-3:]}


def test_the_process_that_is_forked_for_each_file_has_our_modules(parsed: dict[str, list[str]]) -> None:
    assert parsed["NEW"] == []


def test_the_process_that_is_forked_for_each_task_has_all_steps(parsed: dict[str, list[str]]) -> None:
    steps = ("extract", "notify", "package", "start", "upload", "validate")
    assert {f"outfeed.steps.{step}" for step in steps} <= set(parsed["STEPS"])


def test_no_process_has_a_driver_that_it_may_not_need(parsed: dict[str, list[str]]) -> None:
    assert parsed["HEAVY"] == []


def test_tasks_carry_no_copy_of_the_form() -> None:
    dag = dag_of()
    assert len(dag.params) > 0
    assert [task.task_id for task in dag.tasks if len(task.params)] == []
