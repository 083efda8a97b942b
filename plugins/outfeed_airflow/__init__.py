"""Everything that plugs the Outfeed library into Airflow; nothing here is known to the library."""
