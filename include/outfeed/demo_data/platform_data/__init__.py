"""A video platform to try Outfeed on: 57 entities, of any size, and the answers to what is asked of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from outfeed.demo_data.database import Tables, open_database
from outfeed.demo_data.platform_data.acquisition import add_acquisitions
from outfeed.demo_data.platform_data.answers import KnownAnswers
from outfeed.demo_data.platform_data.content import add_content
from outfeed.demo_data.platform_data.people import add_people
from outfeed.demo_data.platform_data.products import add_products
from outfeed.demo_data.platform_data.setting import DATASET, Rows, Setting, table_columns
from outfeed.demo_data.platform_data.subscriptions import add_subscriptions
from outfeed.demo_data.platform_data.video import add_video_files
from outfeed.demo_data.platform_data.views import add_views
from outfeed.demo_data.platform_data.vouchers import add_vouchers
from outfeed.errors import Action, ConfigError

__all__ = ["KnownAnswers", "generate"]


def generate(url: str, *, scale: int, days: int, end: dt.date, seed: int) -> KnownAnswers:
    """Fills a database with a platform's data; the same arguments make the same data.

    Nothing in it happened at `end` or later, but terms and licences run on. What must never be exported holds
    a text that begins with `never-`.

    Args:
        url: `sqlite:///path`, `postgresql://login:password@host/database` or `mariadb://…`; its tables are
            made if need be.
        scale: size: about 200 views, 40 logins and 5 new users a day for each step.
        days: number of UTC days with views and logins, the last of them being the day before `end`.

    Raises:
        ConfigError: if the database holds such a platform already.
    """
    columns = table_columns()
    setting = Setting(
        Rows(columns), KnownAnswers(), scale=scale, first=end - dt.timedelta(days=days), end=end, seed=seed
    )
    with open_database(url, Tables(DATASET, columns)) as database, database.loading():
        if database.execute("SELECT 1 FROM tenants")[0]:
            raise ConfigError(
                "the demo database already holds a platform's data",
                action=Action.OPERATOR,
                remedy="choose an empty database",
            )
        for _ in _made(setting):
            database.add(setting.rows.take())
    setting.known.rows.update(setting.rows.counts)
    return setting.known


def _made(setting: Setting) -> Iterator[None]:
    """Adds everything; pauses when there are rows to write."""
    content = add_content(setting)
    add_video_files(setting, content)
    people = add_people(setting)
    products = add_products(setting, content)
    subscriptions = add_subscriptions(setting, people, products)
    add_vouchers(setting, products, subscriptions)
    add_acquisitions(setting, content)
    yield
    yield from add_views(setting, content, people)
