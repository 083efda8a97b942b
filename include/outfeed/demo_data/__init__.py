"""Platforms to try Outfeed on, of any size, the same for the same seed: work orders and platform data."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Sequence
from pathlib import Path

import click

from outfeed.demo_data.database import DemoDatabase, open_database
from outfeed.demo_data.orders import Keys, SiteOrders, image_content
from outfeed.errors import Action, ConfigError
from outfeed.home import home

_FIRST_SITE = "433a60f6-9756-473e-b1e9-9e89e24bb787"
_NAMESPACE = uuid.UUID("0d3c9bfa-62c1-5a7e-b0a5-9f6f0d1c7e42")

_CORRECT_FIRST_JOB = """
    UPDATE job_conformity
    SET corrected_value = ?, corrected_date = ?, is_conformity_validated = (1 = 1)
    WHERE pk = (
        SELECT min(j.pk)
        FROM job_conformity j
        JOIN input i ON i.pk = j.input_pk
        JOIN work_item w ON w.pk = i.work_item_pk
        WHERE w.work_order_pk = ?
    )
"""


@dataclasses.dataclass(frozen=True)
class Generated:
    """What was made."""

    sites: tuple[str, ...]
    orders: int
    inputs: int
    images: int
    missing_images: int


def demo_sites(count: int) -> tuple[str, ...]:
    """Site ids for when none are given; the first one is document 000's."""
    more = (str(uuid.uuid5(_NAMESPACE, str(number))) for number in range(1, count))
    return (_FIRST_SITE, *more)


def generate(
    url: str,
    images_dir: Path | None,
    *,
    sites: int | Sequence[str],
    orders_per_day: int,
    days: int,
    end: dt.date,
    seed: int,
    broken_share: float = 0.02,
) -> Generated:
    """Adds sites with their work orders to a database, whose tables are made if need be.

    An order has about five inputs, an input about six analyses. The same arguments make the same data.

    Args:
        url: `sqlite:///path` or `postgresql://login:password@host/database`.
        images_dir: folder for the image files; None makes none.
        sites: ids of new sites, or how many.
        days: number of UTC days with new orders, the last of them being the day before `end`.
        broken_share: share of the orders that break the contract on purpose.

    Raises:
        ConfigError: if one of the sites is already there.
    """
    site_ids = demo_sites(sites) if isinstance(sites, int) else tuple(sites)
    first = end - dt.timedelta(days=days)
    orders = inputs = images = missing = 0
    with open_database(url) as database, database.loading():
        for number, site_id in enumerate(site_ids):
            _add_site(database, site_id, f"Site {number + 1}")
            keys = Keys(database.last_keys())
            made = SiteOrders(
                site_id, seed=seed, orders_per_day=orders_per_day, broken_share=broken_share, keys=keys
            )
            for batch in made.days(first, days):
                orders += len(batch.rows["work_order"])
                inputs += len(batch.rows["input"])
                missing += batch.missing_images
                if images_dir is not None:
                    images += _write_images(images_dir, batch.images)
                database.add(batch.rows)
            database.flush()
    return Generated(site_ids, orders, inputs, images, missing)


def amend(url: str, day: dt.date, seed: int) -> int:
    """Changes about a tenth of the orders of a UTC day, without moving them to another window.

    So a second export of the same window has other content, as after a manual correction (D27).

    Returns:
        The number of orders that were changed; at least one, if the day has any.
    """
    bounds = [
        dt.datetime.combine(date, dt.time(), dt.UTC).isoformat(timespec="microseconds")
        for date in (day, day + dt.timedelta(days=1))
    ]
    dated = "coalesce(update_date, create_date) >= ? AND coalesce(update_date, create_date) < ?"
    with open_database(url) as database:
        found, _ = database.execute(
            f"SELECT pk FROM work_order WHERE {dated} AND site_id IS NOT NULL ORDER BY pk", bounds
        )
        keys = [key for (key,) in found]
        chosen = [key for key in keys if (key + seed) % 10 == 0] or keys[:1]
        for key in chosen:
            database.execute("UPDATE work_order SET progress_score = 1 WHERE pk = ?", [key])
            database.execute(_CORRECT_FIRST_JOB, [f'"amended {seed}"', bounds[1], key])
    return len(chosen)


def _add_site(database: DemoDatabase, site_id: str, name: str) -> None:
    if database.execute("SELECT 1 FROM site WHERE id = ?", [site_id])[0]:
        raise ConfigError(
            f"the demo database already holds site {site_id}",
            action=Action.OPERATOR,
            remedy="choose other sites, or an empty database",
        )
    database.execute("INSERT INTO site (id, customer, name) VALUES (?, ?, ?)", [site_id, "demo", name])


def _write_images(folder: Path, images: Sequence[tuple[str, str]]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for name, extension in images:
        (folder / name).write_bytes(image_content(name, extension))
    return len(images)


@click.command("demo-data")
@click.option(
    "--dataset",
    type=click.Choice(["work-orders", "platform-data"]),
    default="work-orders",
    show_default=True,
    help="What the platform holds.",
)
@click.option("--database-url", help="Default: an SQLite file in the folder demo under OUTFEED_HOME.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Work orders: folder for the images. Default: demo/images under OUTFEED_HOME.",
)
@click.option(
    "--site", "sites", multiple=True, help="Work orders: site id; repeat for more. Default: one demo site."
)
@click.option(
    "--orders-per-day", default=40, show_default=True, type=click.IntRange(min=1), help="Work orders: size."
)
@click.option(
    "--scale",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Platform data: size; each step is about 200 views a day.",
)
@click.option("--days", default=14, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--end", type=click.DateTime(["%Y-%m-%d"]), help="Day after the last one. Default: today in UTC."
)
@click.option("--seed", default=1, show_default=True)
def demo_data(  # noqa: PLR0913 - one for each option
    *,
    dataset: str,
    database_url: str | None,
    images: Path | None,
    sites: tuple[str, ...],
    orders_per_day: int,
    scale: int,
    days: int,
    end: dt.datetime | None,
    seed: int,
) -> None:
    """Makes a platform to try Outfeed on, with what goes wrong in real life.

    Its database can be `sqlite:///path` or `postgresql://…`, for platform data `mariadb://…` as well.
    """
    last = (end or dt.datetime.now(dt.UTC)).date()
    if dataset == "platform-data":
        from outfeed.demo_data import platform_data

        url = database_url or f"sqlite:///{home() / 'demo' / 'platform-data.db'}"
        known = platform_data.generate(url, scale=scale, days=days, end=last, seed=seed)
        click.echo(f"{len(known.rows)} tables, {sum(known.rows.values())} rows")
        return
    made = generate(
        database_url or f"sqlite:///{home() / 'demo' / 'platform.db'}",
        images or home() / "demo" / "images",
        sites=sites or 1,
        orders_per_day=orders_per_day,
        days=days,
        end=last,
        seed=seed,
    )
    click.echo(f"sites: {', '.join(made.sites)}")
    click.echo(f"{made.orders} work orders, {made.inputs} inputs, {made.images} images")
    click.echo(f"{made.missing_images} images are missing in the store, on purpose")
