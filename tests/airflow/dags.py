"""Builds DAGs as Airflow's processes see them: imported from a file, serialised, and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from outfeed.config.work_orders import WorkOrdersConfig
from tests.airflow.conftest import LOCAL


def config(**changes: Any) -> WorkOrdersConfig:
    """A valid customer; None removes an option."""
    options: dict[str, Any] = {
        "type": "work-orders",
        "state": "live",
        "time_zone": "Europe/Paris",
        "start_date": "2026-03-01",
        "interval": "daily",
        "site_id": ["3f2b8c1e-5f0a-4d53-9d5e-0a3f5b9e7c11"],
        "source": {"connection": "platform_db"},
        "destinations": [{"name": "folder", "type": "local", "path": "acme"}],
        **changes,
    }
    return WorkOrdersConfig.model_validate(
        {name: value for name, value in options.items() if value is not None}
    )


def dag_of(**changes: Any) -> Any:
    """The DAG of `config(**changes)`, as its author's process has it."""
    from outfeed_airflow.dag_factory import build_dag

    made = config(**changes)
    return build_dag("acme", made, made.all_schedules()[0], "customers/acme.yaml")


def stored(dag: Any) -> Any:
    """The DAG as the scheduler has it: through its serialised form."""
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def imported(path: Path) -> Any:
    """What Airflow's importer makes of a file of the bundle."""
    from airflow.dag_processing.importers import get_importer_registry

    importer = get_importer_registry().get_importer(path)
    assert importer is not None, f"no importer for {path}"
    return importer.import_file(path, bundle_path=LOCAL.dags_folder, bundle_name="outfeed")
