"""`python -m outfeed_airflow` is `outfeed` with Airflow's connections and ledger; `bin/outfeed` starts it."""

import contextlib
import os
import sys
from functools import cache
from pathlib import Path

from outfeed.cli import main
from outfeed.errors import Action, ConfigError
from outfeed_airflow.host import AirflowHost

_HOME = "AIRFLOW_HOME"


@cache
def begin_airflow() -> None:
    """Airflow is loaded: that of this installation, none that the import would make. Only its warnings show.

    Raises:
        ConfigError: AIRFLOW_HOME is not set, names no folder, or that of an Airflow without Outfeed.
    """
    _require_home()
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
    # Airflow's logging takes the standard output that it finds; that one is for what was asked.
    with contextlib.redirect_stdout(sys.stderr):
        from airflow import settings

        settings.initialize()
    _require_our_plugins()


def _require_home() -> None:
    named = os.environ.get(_HOME)
    if not named:
        raise _not_ours(f"{_HOME} is not set")
    if not Path(named).is_dir():
        raise _not_ours(f"{_HOME} is no folder: {named}")


def _require_our_plugins() -> None:
    from airflow.configuration import conf

    folder = conf.get("core", "plugins_folder")
    if not (Path(folder) / "outfeed_plugin.py").is_file():
        raise _not_ours(f"the Airflow of {_HOME} has its plugins in {folder}, without Outfeed's")


def _not_ours(what: str) -> ConfigError:
    return ConfigError(
        f"{what}, so this is not the Airflow that runs Outfeed",
        action=Action.OPERATOR,
        remedy="in a checkout use `bin/outfeed`, which knows the Airflow of `make up`; elsewhere set "
        "the variables AIRFLOW… as they are set for the scheduler",
    )


if __name__ == "__main__":
    main(prog_name="outfeed", obj=AirflowHost(begin_airflow))
