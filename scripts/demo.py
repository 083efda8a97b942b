"""The whole job once, for real: test exports, a night, a backfill, and proof of what arrived.

Everything lives in a home of its own, `.outfeed/demo`, made anew each time, with four customers of
`dags/customers`, whatever else is there. Ends with exit code 0 only if every run succeeded and `sha256sum -c`
accepts every delivery.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from outfeed.config.load import load_config
from outfeed.config.models import CustomerConfig
from outfeed.config.schedule import Schedule
from outfeed.config.work_orders import WorkOrdersConfig
from outfeed.demo_data import generate
from outfeed.demo_data.platform_data import generate as generate_tables
from outfeed.errors import OutfeedError
from outfeed.ledger import Ledger
from outfeed.windows import Window, format_instant
from scripts.airflow_local import (
    API_PORT,
    HOME_VARIABLE,
    PORT_VARIABLE,
    ROOT,
    USER,
    LocalAirflow,
    LocalAirflowError,
    chosen_port,
    mail_port_beside,
)
from scripts.airflow_rest import AirflowRest
from scripts.processes import running

HOME = ROOT / ".outfeed" / "demo"
DAILY = "acme-telecom"
CUSTOMERS = (DAILY, "borealis-energy", "cityfibre-handover", "fjord-video")
BACKFILL_DAYS = 3


def main() -> int:
    """Runs the demo; 0 if all is well."""
    try:
        return demo()
    except (LocalAirflowError, OutfeedError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def demo() -> int:
    """The demo; 0 if all is well.

    Raises:
        LocalAirflowError: something keeps Airflow from running, or a run did not end well.
        OutfeedError: the file of one of the four customers is broken.
    """
    started = time.monotonic()
    port = chosen_port()
    airflow = LocalAirflow(home=HOME, port=port, dags_folder=HOME / "dags", mail_port=mail_port_beside(port))
    make_home()
    customers = list(CUSTOMERS)
    say(
        f"{len(customers)} customers: {', '.join(customers)}; two platforms, with some mistakes in their data"
    )
    make_platforms(customers)

    say("Starting Airflow (scheduler, API server, DAG processor)")
    airflow.start()
    try:
        rest = airflow.rest()
        run_all(rest, customers)
    finally:
        airflow.stop()
    sound = report(customers)
    again = f"{HOME_VARIABLE}={HOME.relative_to(ROOT)}"
    beside = "" if port == API_PORT else f" {PORT_VARIABLE}={port}"
    say(f"Done in {time.monotonic() - started:.0f} s. Airflow is down again; to look around:")
    print(f"    {again}{beside} make up     and then {again} make down")
    print(f"    {airflow.url}  user {USER}, password {airflow.secrets['password']}")
    print(f"    mails that were sent: {(HOME / 'mail').relative_to(ROOT)}/")
    return 0 if sound else 1


def make_home() -> None:
    """An empty home with the DAGs of the demo's customers, in place of that of an earlier demo.

    Raises:
        LocalAirflowError: an Airflow of an earlier demo runs, or a customer's file is not there.
    """
    shown = HOME.relative_to(ROOT)
    if os.environ.get(HOME_VARIABLE):
        say(f"{HOME_VARIABLE} is not used: the demo has a home of its own, {shown}, and empties it")
    if running(HOME):
        raise LocalAirflowError(
            f"an Airflow of an earlier demo runs, and this one would delete its home {shown}: end it first, "
            f"with {HOME_VARIABLE}={shown} make down"
        )
    # Checked before anything is deleted.
    files = [ROOT / "dags" / "customers" / f"{name}.yaml" for name in CUSTOMERS]
    for file in files:
        if not file.is_file():
            raise LocalAirflowError(
                f"the demo's customer {file.relative_to(ROOT)} is missing; `git checkout` restores it"
            )
        load_config(file)
    if HOME.exists():
        shutil.rmtree(HOME)
    shutil.copytree(ROOT / "dags", HOME / "dags", ignore=shutil.ignore_patterns("customers", "__pycache__"))
    (HOME / "dags" / "customers").mkdir()
    for file in files:
        shutil.copy(file, HOME / "dags" / "customers")


def run_all(rest: AirflowRest, customers: list[str]) -> None:
    """Test exports, then live, then a backfill: each run must succeed."""
    dags = {schedule.dag_id(name): name for name in customers for schedule in load(name).all_schedules()}
    wait_until(lambda: set(dags) <= rest.dag_ids(), "the customers' DAGs")
    say("Test exports: only they may be the first delivery to a destination")
    # One per customer, of the schedule that every destination receives something of.
    first = {name: max(load(name).all_schedules(), key=partial(receiving, name)) for name in customers}
    tests = {
        schedule.dag_id(name): rest.trigger(
            schedule.dag_id(name), conf=an_earlier_window(name, schedule) | {"reason": "test"}
        )
        for name, schedule in first.items()
    }
    for dag, run_id in tests.items():
        succeed(rest, dag, run_id)

    say("Going live: 'state: draft' becomes 'state: live', the scheduler starts the last complete window")
    for name in customers:
        file = HOME / "dags" / "customers" / f"{name}.yaml"
        file.write_text(file.read_text().replace("state: draft", "state: live"))
    for dag in dags:
        wait_until(lambda dag=dag: scheduled(rest, dag), f"the scheduled run of {dag}")
        succeed(rest, dag, scheduled(rest, dag)[0])

    zone = ZoneInfo(load(DAILY).time_zone)
    today = dt.datetime.now(zone).date()
    begin, end = today - dt.timedelta(days=1 + BACKFILL_DAYS), today - dt.timedelta(days=2)
    say(f"Backfill of {DAILY}, local days {begin} to {end}")
    backfill = rest.backfill(DAILY, midnight(begin, zone), midnight(end, zone), max_active_runs=2)
    wait_until(lambda: len(of_type(rest, DAILY, "backfill")) == BACKFILL_DAYS, f"backfill {backfill}")
    for run_id in of_type(rest, DAILY, "backfill"):
        succeed(rest, DAILY, run_id)


def receiving(name: str, schedule: Schedule) -> int:
    """How many destinations receive something of a schedule."""
    return len(load(name).receivers(schedule))


def an_earlier_window(name: str, schedule: Schedule) -> dict[str, str]:
    """A window for the test export that is not the one which the schedule delivers first."""
    if schedule.once is not None:
        window = Window(schedule.once.start, schedule.once.start + dt.timedelta(days=1))
    else:
        assert schedule.rule is not None  # noqa: S101 - what is no one-time export has one
        last = schedule.rule.last_complete(dt.datetime.now(dt.UTC))
        window = load(name).window(schedule.rule.last_complete(last.start))
    return {"window_start": format_instant(window.start), "window_end": format_instant(window.end)}


def make_platforms(customers: list[str]) -> None:
    """The demo's platforms: data for every site and window that the customers will export."""
    folder = HOME / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    generate_tables(f"sqlite:///{folder / 'video.db'}", scale=5, days=10, end=tomorrow, seed=0)
    for number, name in enumerate(customers):
        config = load(name)
        if not isinstance(config, WorkOrdersConfig):
            continue
        generate(
            f"sqlite:///{folder / 'platform.db'}",
            folder / "images",
            sites=[str(site) for site in config.site_id],
            orders_per_day=15,
            days=20 if config.end_date is None else 31,
            end=config.end_date or tomorrow,
            seed=number,
        )


def load(name: str) -> CustomerConfig:
    """A customer's configuration."""
    return load_config(HOME / "dags" / "customers" / f"{name}.yaml")


def midnight(day: dt.date, zone: ZoneInfo) -> str:
    """The begin of a local day with its offset: a backfill's bounds are instants."""
    return dt.datetime.combine(day, dt.time(), zone).isoformat()


def scheduled(rest: AirflowRest, name: str) -> list[str]:
    """Ids of the runs that the scheduler started."""
    return of_type(rest, name, "scheduled")


def of_type(rest: AirflowRest, name: str, kind: str) -> list[str]:
    """Ids of a DAG's runs of one type."""
    return [run["dag_run_id"] for run in rest.runs(name) if run["run_type"] == kind]


def succeed(rest: AirflowRest, name: str, run_id: str) -> None:
    """Waits for a run; raises unless it succeeded."""
    state = rest.wait_for_run(name, run_id, timeout=240)
    print(f"    {name:<24} {run_id:<50} {state}")
    if state != "success":
        raise LocalAirflowError(
            f"{name} {run_id} {state}: {rest.task_states(name, run_id)}; logs in {HOME / 'logs'}"
        )


def wait_until(condition: object, what: str, seconds: float = 120) -> None:
    """Waits for a condition; raises when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.5)


def report(customers: list[str]) -> bool:
    """Prints what was delivered where; whether every delivery passes `sha256sum -c`."""
    ledger = Ledger(f"sqlite:///{HOME / 'ledger.db'}")
    sound = True
    for name in customers:
        say(f"{name}: what was delivered to .outfeed/demo/delivered/{name}/")
        for receipt in sorted(ledger.deliveries(name), key=lambda r: (r.destination, r.start, r.revision)):
            base = HOME / "delivered" / receipt.location.removeprefix("local:")
            manifest = base / str(receipt.manifest_path)
            proven = check(base, manifest.parent / "SHA256SUMS") and (manifest.parent / "_SUCCESS").exists()
            sound = sound and proven
            window = f"{receipt.start:%Y-%m-%d %H:%MZ} → {receipt.end:%Y-%m-%d %H:%MZ}"
            print(
                f"    {receipt.destination:<10} {window} {receipt.reason:<9} {receipt.files} files "
                f"{receipt.rows:>6} rows {receipt.images:>4} images ({receipt.images_missing} missing) "
                f"{receipt.rows_rejected:>2} rejected  sha256sum -c: {'OK' if proven else 'FAILED'}"
            )
    return sound


def check(base: Path, sums: Path) -> bool:
    """The judgement of coreutils, not ours."""
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "--strict", str(sums.relative_to(base))],
        cwd=base,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout + done.stderr)
    return done.returncode == 0


def say(text: str) -> None:
    """A heading."""
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
