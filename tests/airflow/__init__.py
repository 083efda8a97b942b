"""DAGs, timetables and operators in this process, with an Airflow database of their own."""
