"""`customers/<customer>.yaml` is a DAG file: imported like a Python one, with errors under its own name.

Airflow 3.3 has the importer interface but no setting to register one, and its DAG processor lists Python
files only; `install` closes both gaps. Airflow 3.4 makes the same idea official.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import airflow.utils.file as airflow_files
from airflow.dag_processing.importers import (
    AbstractDagImporter,
    DagImportError,
    DagImportResult,
    get_importer_registry,
)

from outfeed.errors import ConfigError

if TYPE_CHECKING:
    import os

    from airflow.sdk import DAG

_log = logging.getLogger(__name__)

#: Folder in a DAG bundle whose YAML files are customers.
CUSTOMERS_FOLDER = "customers"


class CustomerYamlImporter(AbstractDagImporter):
    """One file, one customer, a DAG per schedule, one import error: it touches no other (design §7)."""

    @classmethod
    def supported_extensions(cls) -> list[str]:
        """See the base class. `.yml` is taken up to say that it must be `.yaml`."""
        return [".yaml", ".yml"]

    def list_dag_files(self, directory: str | os.PathLike[str], safe_mode: bool = True) -> Iterator[str]:
        """The customer files of a bundle."""
        for path in sorted((Path(directory) / CUSTOMERS_FOLDER).glob("*.y*ml")):
            if path.suffix not in (".yaml", ".yml"):
                continue
            if path.is_file():
                yield str(path)
            else:
                # Airflow reads a file before it asks an importer, and would log a traceback each time.
                _log.warning("%s is passed over: it is no file, so no customer", path)

    def import_file(
        self,
        file_path: str | Path,
        *,
        bundle_path: Path | None = None,
        bundle_name: str | None = None,
        safe_mode: bool = True,
    ) -> DagImportResult:
        """The customer's DAGs, or one error that names file, line and column; never a traceback."""
        shown = self.get_relative_path(file_path, bundle_path)
        result = DagImportResult(file_path=shown)
        try:
            dags = _customer_dags(Path(file_path), shown)
        except ConfigError as error:
            # A customer's mistake must read as one; the full path means nothing to its author.
            message = str(error).replace(str(file_path), shown)
            result.errors.append(DagImportError(file_path=shown, message=message, error_type="config"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not take other files with it
            message = f"{shown}: {type(error).__name__}: {error}"
            result.errors.append(DagImportError(file_path=shown, message=message))
        else:
            for dag in dags:
                dag.fileloc, dag.relative_fileloc = str(file_path), shown
            result.dags.extend(dags)
        return result


def _customer_dags(path: Path, shown: str) -> list[DAG]:
    from outfeed.config.load import load_config
    from outfeed_airflow.dag_factory import build_dags

    return build_dags(path.stem, load_config(path), shown)


def install() -> None:
    """Makes this process import and find customers' YAML files. Safe to call again.

    Must run before `airflow.dag_processing.manager` is imported: that binds the name of the listing function.
    """
    registry = get_importer_registry()
    if registry.can_handle("customer.yaml"):
        return
    importer = CustomerYamlImporter()
    registry.register(importer)
    list_python_files = airflow_files.list_py_file_paths

    def list_dag_files(directory: str | os.PathLike[str] | None, safe_mode: bool = True) -> list[str]:
        found = list_python_files(directory, safe_mode=safe_mode)
        if directory is not None:
            found.extend(importer.list_dag_files(directory, safe_mode))
        return found

    airflow_files.list_py_file_paths = list_dag_files
