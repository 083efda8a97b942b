"""`python -m outfeed_airflow` is the command `outfeed` with Airflow's connections and ledger."""

import contextlib
import sys

from outfeed.cli import main
from outfeed_airflow.host import AirflowHost


def _airflow_logs_to_stderr() -> None:
    """Airflow's logging takes the standard output that it finds; that one is for what was asked."""
    with contextlib.redirect_stdout(sys.stderr):
        from airflow import settings

        settings.initialize()


if __name__ == "__main__":
    _airflow_logs_to_stderr()
    main(prog_name="python -m outfeed_airflow", obj=AirflowHost())
