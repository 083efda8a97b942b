"""Outfeed's library: windows, plans, sources, connectors and steps. It knows nothing of Airflow."""

__version__ = "0.1.0"
