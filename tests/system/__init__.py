"""A whole Airflow: scheduler, API server, DAG processor and the tasks' own processes."""
