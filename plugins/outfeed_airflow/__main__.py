"""`python -m outfeed_airflow` is the command `outfeed` with Airflow's connections and ledger."""

from outfeed.cli import main
from outfeed_airflow.host import AirflowHost

if __name__ == "__main__":
    main(prog_name="python -m outfeed_airflow", obj=AirflowHost())
