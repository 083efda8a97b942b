"""Who watched what, when, from where and on what; and what the staff changed."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterator

from outfeed.demo_data.platform_data import texts
from outfeed.demo_data.platform_data.content import Asset, Content
from outfeed.demo_data.platform_data.people import User
from outfeed.demo_data.platform_data.setting import Chance, Setting

_ANONYMOUS = -1
_VIEWS_PER_DAY = 200
_CHANGES_PER_DAY = 10
_PLATFORMS = ("web",) * 8 + ("mobile",) * 7 + ("tv",) * 4 + (None,)
_COUNTRIES = ("NO",) * 12 + ("PL", "PL", "JP", "SE", None)
_PROVIDERS = ("Telenor", "Telia, Norge", 'Lyse "Fiber"', "インターネット", "", None)


def add_views(setting: Setting, content: Content, people: list[User]) -> Iterator[None]:
    """Adds the views and the staff's changes; pauses after each day, so that its rows can be written."""
    views, audits = setting.chance("views"), setting.chance("audits")
    addresses: dict[str | None, set[str]] = defaultdict(set)
    view = audit = 0
    for day in setting.days:
        for moment in views.moments(day, _VIEWS_PER_DAY * setting.scale):
            view += 1
            # A few are watched by most.
            asset = content.assets[int(len(content.assets) * views.random() ** 3)]
            person = views.choice(people)
            known_by_then = person.registered < moment and views.random() < 0.7
            user = person.id if known_by_then else _ANONYMOUS
            _add_view(setting, views, view, asset, user, moment, addresses)
        for moment in audits.moments(day, _CHANGES_PER_DAY * setting.scale):
            audit += 1
            _add_audit(setting, audits, audit, moment)
        yield
    setting.known.view_addresses.update({country: len(found) for country, found in addresses.items()})


def _add_view(
    setting: Setting,
    chance: Chance,
    id_: int,
    asset: Asset,
    user: int,
    moment: dt.datetime,
    addresses: dict[str | None, set[str]],
) -> None:
    known, category = setting.known, asset.category
    platform, country, isp = chance.choice(_PLATFORMS), chance.choice(_COUNTRIES), chance.choice(_PROVIDERS)
    address = _address(chance)
    setting.rows.add(
        "assets_views",
        id=id_,
        asset_id=asset.id,
        category_id=category.id if category else None,
        user_id=user,
        platform=platform,
        ip=address,
        geo_country=country,
        geo_isp=isp,
        session_id=chance.uuid(),
        seconds_watched=chance.maybe(chance.randrange(9000)),
        registered=moment,
    )
    known.asset_views[moment.date(), asset.id] += 1
    known.view_origins[country, isp] += 1
    addresses[country].add(address)
    known.platform_views[platform] += 1
    known.views_by_login["anonymous" if user == _ANONYMOUS else "registered"] += 1
    known.category_views[(category.level_type, category.id) if category else (None, None)] += 1


def _address(chance: Chance) -> str:
    """An address of the ranges for documentation."""
    if chance.random() < 0.2:
        return f"2001:db8::{chance.randrange(1, 1 << 16):x}"
    return f"198.51.100.{chance.randrange(256)}"


def _add_audit(setting: Setting, chance: Chance, id_: int, moment: dt.datetime) -> None:
    setting.rows.add(
        "audits",
        id=id_,
        actor_id=chance.maybe(chance.randrange(1, 20)),
        action=chance.choice(("create", "update", "publish", "delete")),
        entity=chance.choice(("asset", "category", "product")),
        entity_id=str(chance.randrange(1, 100)),
        details=chance.maybe(
            json.dumps({"title": texts.title(chance), "ok": True, "n": 1.5}, ensure_ascii=False)
        ),
        created=moment,
    )
