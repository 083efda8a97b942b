"""The acquisition manager: what was bought from whom, and what may be done with it."""

from __future__ import annotations

import datetime as dt
import json

from outfeed.demo_data.platform_data import texts
from outfeed.demo_data.platform_data.content import PLATFORMS, Category, Content
from outfeed.demo_data.platform_data.setting import Setting

_CONTRACTS = 4
_EPISODES = 3


def add_acquisitions(setting: Setting, content: Content) -> None:
    """Adds titles, most of which are in the catalogue of what can be watched, and the licences for them."""
    shows = content.of_level("show")
    for number, show in enumerate(shows, 1):
        _add_show(setting, content, show, number)
    movies = [asset for asset in content.assets if asset.category is None]
    chance, rows = setting.chance("movies"), setting.rows
    for number, movie in enumerate(movies, 1):
        rows.add(
            "acquisition_manager_movies",
            id=number,
            asset_id=chance.maybe(movie.id),
            title=texts.title(chance),
            runtime_minutes=chance.maybe(chance.randrange(60, 240)),
            **chance.changed(),
        )
    _add_contracts(setting)
    _add_licenses(setting, {"show": len(shows), "movie": len(movies)})


def _add_show(setting: Setting, content: Content, show: Category, number: int) -> None:
    chance, rows = setting.chance(f"show {number}"), setting.rows
    rows.add(
        "acquisition_manager_shows",
        id=number,
        category_id=chance.maybe(show.id),
        title=texts.title(chance),
        **chance.changed(),
    )
    # One season per show, so that both have the same number.
    rows.add(
        "acquisition_manager_seasons",
        id=number,
        show_id=number,
        season_number=1,
        title=chance.maybe(f"Sesong 1, {number}"),
        **chance.changed(),
    )
    assets = [asset for asset in content.assets if asset.category is show]
    for position, asset in enumerate(assets[:_EPISODES], 1):
        rows.add(
            "acquisition_manager_episodes",
            id=(number - 1) * _EPISODES + position,
            season_id=number,
            asset_id=chance.maybe(asset.id),
            episode_number=position,
            title=texts.title(chance),
            **chance.changed(),
        )


def _add_contracts(setting: Setting) -> None:
    chance, rows = setting.chance("contracts"), setting.rows
    for id_ in range(1, _CONTRACTS + 1):
        rows.add(
            "acquisition_manager_providers",
            id=id_,
            name=texts.title(chance),
            contact_email=chance.maybe(f"rights{id_}@example.com"),
            **chance.changed(),
        )
        rows.add(
            "acquisition_manager_contracts",
            id=id_,
            provider_id=id_,
            title=texts.title(chance),
            signed_on=chance.maybe(dt.date(2024, 2, 29)),
            amount=chance.maybe(f"{chance.randrange(10**11) / 10_000:.4f}"),
            currency=chance.maybe("EUR"),
            terms=chance.maybe(json.dumps({"exclusive": True, "holdback": None, "text": 'a, "b"\nc'})),
            **chance.changed(),
        )


def _add_licenses(setting: Setting, titles: dict[str, int]) -> None:
    chance, rows = setting.chance("licences"), setting.rows
    license_ = permission = 0
    for title_type, count in titles.items():
        for title in range(1, count + 1):
            license_ += 1
            rows.add(
                "acquisition_manager_licenses",
                id=license_,
                contract_id=chance.randrange(_CONTRACTS) + 1,
                title_type=title_type,
                title_id=title,
                territories=chance.choice(("NO", "NO,SE,DK", "", None)),
                license_start=chance.maybe(dt.date(2025, 1, 1)),
                license_end=chance.maybe(dt.date(2032, 12, 31)),
                **chance.changed(),
            )
            for platform in range(1, len(PLATFORMS)):
                permission += 1
                rows.add(
                    "acquisition_manager_permissions",
                    id=permission,
                    license_id=license_,
                    platform_id=platform,
                    allowed=chance.random() < 0.8,
                    max_views=chance.maybe(chance.randrange(1, 100) * 1000, 0.2),
                    **chance.changed(),
                )
