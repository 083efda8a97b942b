"""A customer's YAML is a DAG file of its own: found, imported, and blamed under its own name."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.airflow_local import ROOT
from tests.airflow.conftest import CUSTOMER, LOCAL
from tests.airflow.dags import imported

pytestmark = pytest.mark.airflow

#: What parsing a customer must not load: drivers, cloud SDKs, data frames (design §1).
HEAVY = (
    "azure.core",
    "psycopg",
    "psycopg2",
    "boto3",
    "botocore",
    "google.cloud.storage",
    "gcsfs",
    "s3fs",
    "asyncssh",
    "paramiko",
    "pandas",
    "pyarrow",
    "jsonschema_rs",
    "duckdb",
)


def test_airflow_finds_customers_in_every_process() -> None:
    """Guards the seam of 3.3: without it `DagBag` would ignore YAML files, without a word."""
    from airflow.dag_processing import manager
    from airflow.dag_processing.importers import get_importer_registry

    assert get_importer_registry().can_handle("customers/acme.yaml")
    assert "outfeed_airflow" in manager.list_py_file_paths.__module__


def test_both_listings_of_airflow_name_customers_and_python_files(
    customer_file: Callable[..., Path], tmp_path: Path
) -> None:
    from airflow.dag_processing import manager
    from airflow.dag_processing.importers import get_importer_registry

    (tmp_path / "customers").mkdir()
    yaml_file, python_file = tmp_path / "customers" / "acme.yaml", tmp_path / "housekeeping.py"
    yaml_file.write_text(CUSTOMER)
    python_file.write_text("from airflow.sdk import DAG")
    (tmp_path / "notes.yaml").write_text("not: a customer")

    expected = sorted([str(yaml_file), str(python_file)])
    assert sorted(manager.list_py_file_paths(tmp_path)) == expected
    assert sorted(get_importer_registry().list_dag_files(tmp_path)) == expected


def test_a_folder_that_is_named_like_a_customer_is_passed_over_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # XX-07
    from airflow.dag_processing import manager

    folder = tmp_path / "customers" / "folder.yaml"
    folder.mkdir(parents=True)
    (tmp_path / "customers" / "gone.yaml").symlink_to(tmp_path / "nowhere")
    good = tmp_path / "customers" / "good.yaml"
    good.write_text(CUSTOMER)
    with caplog.at_level(logging.WARNING):
        assert manager.list_py_file_paths(tmp_path) == [str(good)]
    assert [message for message in caplog.messages if "is no file" in message] == [
        f"{path} is passed over: it is no file, so no customer"
        for path in (folder, tmp_path / "customers" / "gone.yaml")
    ]


def test_two_endings_of_one_name_leave_the_right_one_alone(customer_file: Callable[..., Path]) -> None:
    # XX-07
    good, other = customer_file("acme.yaml"), customer_file("acme.yml")
    assert [dag.dag_id for dag in imported(good).dags] == ["acme"]
    (error,) = imported(other).errors
    assert error.message.startswith("customers/acme.yml: a customer's file must end in .yaml")
    assert "acme.yaml exists already: remove one of the two" in error.message


def test_a_customer_file_becomes_one_dag_of_its_name(customer_file: Callable[..., Path]) -> None:
    # XX-01
    path = customer_file("acme-telecom.yaml")
    result = imported(path)
    assert not result.errors
    (dag,) = result.dags
    assert (dag.dag_id, dag.fileloc, dag.relative_fileloc) == (
        "acme-telecom",
        str(path),
        "customers/acme-telecom.yaml",
    )


@pytest.mark.parametrize(
    ("line", "replacement", "place", "text"),
    [
        ("interval: daily", "intervall: daily", ":6:", "intervall"),
        ("  - 3f2b8c1e-5f0a-4d53-9d5e-0a3f5b9e7c11", "  - 3f2b8c1e-5f0a", ":8:", "3f2b8c1e-5f0a"),
        ("    path: acme", "    path: acme\n    password: hunter2", ":16:", "password"),
        ("source:", "source: [", ":", "source"),
    ],
)
def test_a_mistake_is_one_import_error_with_its_place(
    line: str, replacement: str, place: str, text: str, customer_file: Callable[..., Path]
) -> None:
    # DX-010, DX-016, XX-06, XX-07
    result = imported(customer_file("acme.yaml", CUSTOMER.replace(line, replacement, 1)))
    assert not result.dags
    (error,) = result.errors
    assert error.file_path == "customers/acme.yaml"
    assert f"customers/acme.yaml{place}" in error.message
    assert error.stacktrace is None
    assert "Traceback" not in error.message
    assert str(LOCAL.dags_folder) not in error.message, "a path of this machine says nothing to the author"
    assert "hunter2" not in error.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("acme.yml", "must end in .yaml"),
        ("Acme Telecom.yaml", "can't be a customer's name"),
        ("..acme.yaml", "can't be a customer's name"),
    ],
)
def test_a_file_name_that_can_be_no_customer_is_an_import_error(
    name: str, text: str, customer_file: Callable[..., Path]
) -> None:
    result = imported(customer_file(name))
    assert not result.dags
    assert [text in error.message for error in result.errors] == [True]


def test_a_broken_customer_touches_no_other(customer_file: Callable[..., Path]) -> None:
    # XX-07
    from airflow.dag_processing.dagbag import DagBag

    customer_file("broken.yaml", "type: [")
    for name in ("acme", "borealis"):
        customer_file(f"{name}.yaml")
    bag = DagBag(LOCAL.dags_folder, bundle_path=LOCAL.dags_folder, bundle_name="outfeed")
    assert set(bag.dag_ids) == {"acme", "borealis"}
    assert set(bag.import_errors) == {"customers/broken.yaml"}


def test_parsing_a_customer_loads_nothing_heavy(customer_file: Callable[..., Path]) -> None:
    """In a new process, as in every task and every parse of the DAG processor."""
    path = customer_file()
    program = f"""
import sys
import airflow.settings
from airflow.dag_processing.importers import get_importer_registry
result = get_importer_registry().get_importer({str(path)!r}).import_file({str(path)!r})
assert [dag.dag_id for dag in result.dags] == ["acme"], result
print(*sorted(name for name in {HEAVY!r} if name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=LOCAL.env(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
