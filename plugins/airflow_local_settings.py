"""Airflow imports this module in every process: customers' YAML files become DAG files from here on."""

from __future__ import annotations

from outfeed_airflow.yaml_importer import install

install()

#: Nothing of this module becomes a name in `airflow.settings`.
__all__: list[str] = []
