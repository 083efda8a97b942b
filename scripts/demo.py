"""The whole job once, for real: test exports, a night, a backfill, and proof of what arrived.

Everything lives in a home of its own, `.outfeed/demo`, made anew each time. Ends with exit code 0 only if
every run succeeded and `sha256sum -c` accepts every delivery.
"""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

from outfeed.config.load import load_config
from outfeed.config.work_orders import WorkOrdersConfig
from outfeed.demo_data import generate
from outfeed.ledger import Ledger
from outfeed.windows import Window, format_instant
from scripts.airflow_local import ROOT, USER, LocalAirflow
from scripts.airflow_rest import AirflowRest

HOME = ROOT / ".outfeed" / "demo"
PORT = 8080
DAILY = "acme-telecom"
BACKFILL_DAYS = 3


def main() -> int:
    """Runs the demo; 0 if all is well."""
    started = time.monotonic()
    airflow = LocalAirflow(home=HOME, port=PORT, dags_folder=HOME / "dags")
    airflow.stop()
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.copytree(ROOT / "dags", HOME / "dags")
    customers = sorted(file.stem for file in (HOME / "dags" / "customers").glob("*.yaml"))
    say(f"Three customers: {', '.join(customers)}; a platform with work orders, images and some mistakes")
    make_platform(customers)

    say("Starting Airflow (scheduler, API server, DAG processor)")
    airflow.start()
    try:
        rest = airflow.rest()
        run_all(rest, customers)
    finally:
        airflow.stop()
    sound = report(customers)
    say(f"Done in {time.monotonic() - started:.0f} s. Airflow is down again; to look around:")
    print("    OUTFEED_HOME=.outfeed/demo make up     and then make down")
    print(f"    {airflow.url}  user {USER}, password {airflow.secrets['password']}")
    print(f"    mails that were sent: {(HOME / 'mail').relative_to(ROOT)}/")
    return 0 if sound else 1


def run_all(rest: AirflowRest, customers: list[str]) -> None:
    """Test exports, then live, then a backfill: each run must succeed."""
    wait_until(lambda: set(customers) <= rest.dag_ids(), "the customers' DAGs")
    say("Test exports: only they may be the first delivery to a destination")
    tests = {
        name: rest.trigger(name, conf=an_earlier_window(name) | {"reason": "test"}) for name in customers
    }
    for name, run_id in tests.items():
        succeed(rest, name, run_id)

    say("Going live: 'state: draft' becomes 'state: live', the scheduler starts the last complete window")
    for name in customers:
        file = HOME / "dags" / "customers" / f"{name}.yaml"
        file.write_text(file.read_text().replace("state: draft", "state: live"))
    for name in customers:
        wait_until(lambda name=name: scheduled(rest, name), f"the scheduled run of {name}")
        succeed(rest, name, scheduled(rest, name)[0])

    config = load(DAILY)
    today = dt.datetime.now(ZoneInfo(config.time_zone)).date()
    first, last = today - dt.timedelta(days=1 + BACKFILL_DAYS), today - dt.timedelta(days=2)
    say(f"Backfill of {DAILY}, local days {first} to {last}")
    backfill = rest.backfill(DAILY, midnight(first, config), midnight(last, config), max_active_runs=2)
    wait_until(lambda: len(of_type(rest, DAILY, "backfill")) == BACKFILL_DAYS, f"backfill {backfill}")
    for run_id in of_type(rest, DAILY, "backfill"):
        succeed(rest, DAILY, run_id)


def an_earlier_window(name: str) -> dict[str, str]:
    """A window for the test export that is not the one which the schedule delivers first."""
    config = load(name)
    if config.rule is None:
        first = config.once_window
        assert first is not None  # noqa: S101 - one-time exports have one
        window = Window(first.start, first.start + dt.timedelta(days=1))
    else:
        window = config.rule.last_complete(config.rule.last_complete(dt.datetime.now(dt.UTC)).start)
    return {"window_start": format_instant(window.start), "window_end": format_instant(window.end)}


def make_platform(customers: list[str]) -> None:
    """The demo's platform: data for every site and window that the customers will export."""
    database = HOME / "demo" / "platform.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(customers):
        config = load(name)
        end = config.end_date or dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
        generate(
            f"sqlite:///{database}",
            HOME / "demo" / "images",
            sites=[str(site) for site in config.site_id],
            orders_per_day=15,
            days=20 if config.end_date is None else 31,
            end=end,
            seed=number,
        )


def load(name: str) -> WorkOrdersConfig:
    """A customer's configuration."""
    config = load_config(HOME / "dags" / "customers" / f"{name}.yaml")
    assert isinstance(config, WorkOrdersConfig)  # noqa: S101 - narrows the type for mypy; the examples are
    return config


def midnight(day: dt.date, config: WorkOrdersConfig) -> str:
    """The begin of a local day with its offset: a backfill's bounds are instants."""
    return dt.datetime.combine(day, dt.time(), ZoneInfo(config.time_zone)).isoformat()


def scheduled(rest: AirflowRest, name: str) -> list[str]:
    """Ids of the runs that the scheduler started."""
    return of_type(rest, name, "scheduled")


def of_type(rest: AirflowRest, name: str, kind: str) -> list[str]:
    """Ids of a DAG's runs of one type."""
    return [run["dag_run_id"] for run in rest.runs(name) if run["run_type"] == kind]


def succeed(rest: AirflowRest, name: str, run_id: str) -> None:
    """Waits for a run; raises unless it succeeded."""
    state = rest.wait_for_run(name, run_id, timeout=240)
    print(f"    {name:<20} {run_id:<50} {state}")
    if state != "success":
        raise RuntimeError(
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
                f"{receipt.rows:>5} records {receipt.images:>4} images ({receipt.images_missing} missing) "
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
