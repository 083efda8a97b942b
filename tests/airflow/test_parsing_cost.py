"""What a parse of a customer's file need not do again: counted, not timed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.airflow_local import ROOT
from tests.airflow.conftest import LOCAL
from tests.airflow.dags import dag_of

pytestmark = pytest.mark.airflow

_PARSE = """
import sys
from pathlib import Path
import airflow
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
from outfeed_airflow.yaml_importer import CustomerYamlImporter
before = set(sys.modules)
result = CustomerYamlImporter().import_file(Path(sys.argv[1]), bundle_path=Path(sys.argv[2]))
assert result.dags and not result.errors, result.errors
print("NEW", *sorted(name for name in set(sys.modules) - before if name.startswith("outfeed")))
"""


def test_the_process_that_is_forked_for_each_file_has_our_modules(customer_file: Callable[..., Path]) -> None:
    path = customer_file()
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(path), str(LOCAL.dags_folder)],
        env=LOCAL.env(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["NEW"]


def test_tasks_carry_no_copy_of_the_form() -> None:
    dag = dag_of()
    assert len(dag.params) > 0
    assert [task.task_id for task in dag.tasks if len(task.params)] == []
