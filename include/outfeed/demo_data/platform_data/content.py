"""What can be watched: genres, channels, shows and assets, who publishes them, and on which platforms."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

from outfeed.demo_data.platform_data import texts
from outfeed.demo_data.platform_data.answers import Metadata
from outfeed.demo_data.platform_data.setting import Chance, Setting

PLATFORMS = ("web", "mobile", "tv", "all")

_GENRES = ("Drama", "Nyheter", "Sport", "Barn")
_SHOWS_PER_CHANNEL = 3
_ASSETS_PER_SHOW = 5
_LANGUAGES = ("no", "en", "pl", "ja")
_ASSET_CATEGORIES = ("episode", "movie", "clip", "trailer", "live", "radio")
_TRAILER = 1
_DAY = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Category:
    """A genre, channel or show."""

    id: int
    level_type: str
    asset_type_id: int | None
    publisher: str | None


@dataclasses.dataclass(frozen=True)
class Asset:
    """Something to watch; a trailer belongs to no category."""

    id: int
    asset_type_id: int
    category: Category | None
    live: bool


@dataclasses.dataclass(frozen=True)
class Content:
    """All that can be watched."""

    categories: list[Category]
    assets: list[Asset]

    def of_level(self, level_type: str) -> list[Category]:
        """The categories of one level."""
        return [each for each in self.categories if each.level_type == level_type]


def add_content(setting: Setting) -> Content:
    """Adds categories and assets with all that describes them."""
    publishers = _add_look_ups(setting)
    content = Content(_Categories(setting, publishers).add(), [])
    _Assets(setting, content).add()
    return content


def _add_look_ups(setting: Setting) -> list[str]:
    """Adds the small tables; gives the publishers' names."""
    add = setting.rows.add
    for id_, environment in enumerate(("production", "stage"), 1):
        add("tenants", id=id_, name="demo", environment=environment)
    for id_, name in enumerate(PLATFORMS, 1):
        add("platforms", id=id_, name=name, title=name.capitalize(), active=name != "all")
    for id_, name in enumerate(_ASSET_CATEGORIES, 1):
        add("asset_categories", id=id_, name=name, description="" if id_ % 2 else None)
    for id_, name in enumerate(("ny", "klassiker", "18+", "4K, HDR", "på 'norsk'"), 1):
        add("tags", id=id_, name=name)
    chance = setting.chance("publishers")
    publishers = ["Nordlys Media AS", 'Fjord & "Fjell", Forlag', "Łódź Film"]
    publishers += [f"Forlag {number}" for number in range(setting.scale)]
    for id_, name in enumerate(publishers, 1):
        add("publishers", id=id_, name=name, country=chance.choice(("NO", "PL", "JP", None)))
    return publishers


def _metadata(chance: Chance, number: int) -> Metadata:
    """Some entries, hostile ones among them."""
    entries: Metadata = {("title", chance.choice(_LANGUAGES)): texts.numbered_title(chance, number + 1)}
    if chance.random() < 0.6:
        entries["description-short", "*"] = texts.description(chance)
    if chance.random() < 0.5:
        entries["title", "*"] = texts.title(chance)
    if chance.random() < 0.3:
        entries["age-limit", "*"] = chance.choice(("0", "06", "15", "18", ""))
    return entries


class _Categories:
    """Adds the tree of categories; a channel and a show each have an asset type of their own."""

    def __init__(self, setting: Setting, publishers: list[str]) -> None:
        self._setting = setting
        self._publishers = publishers
        self._chance = setting.chance("categories")
        self._made: list[Category] = []
        self._types = _TRAILER

    def add(self) -> list[Category]:
        """Adds them all."""
        self._setting.rows.add("asset_types", id=_TRAILER, name="trailer", active=True)
        genres = [self._category("genre", None, name) for name in _GENRES]
        channels = [
            self._category("channel", genres[number % len(genres)])
            for number in range(4 + 2 * self._setting.scale)
        ]
        for channel in channels:
            for _ in range(_SHOWS_PER_CHANNEL):
                self._category("show", channel)
        return self._made

    def _category(self, level_type: str, parent: Category | None, title: str | None = None) -> Category:
        chance, known = self._chance, self._setting.known
        id_ = len(self._made) + 1
        changes = chance.changed()
        publisher = chance.randrange(len(self._publishers)) + 1 if parent and chance.random() < 0.9 else None
        category = Category(
            id_,
            level_type,
            self._asset_type(id_, level_type) if parent else None,
            None if publisher is None else self._publishers[publisher - 1],
        )
        self._made.append(category)
        self._setting.rows.add(
            "categories",
            id=id_,
            parent_id=parent.id if parent else None,
            level_type=level_type,
            asset_type_id=category.asset_type_id,
            title=title or texts.title(chance),
            description=texts.description(chance),
            sort_order=chance.randrange(100),
            **changes,
        )
        known.level_types[level_type] += 1
        if parent:
            links = {"channel": known.genre_of_channel, "show": known.channel_of_show}
            links[level_type][id_] = parent.id
        if category.publisher is not None:
            known.category_publishers[id_] = category.publisher
        self._describe(category, publisher, changes)
        return category

    def _asset_type(self, category: int, level_type: str) -> int:
        self._types += 1
        name = f"{level_type} {category}" + (', "ny"' if category % 7 == 0 else "")
        self._setting.rows.add("asset_types", id=self._types, name=name, active=category % 10 != 0)
        self._setting.known.category_types[category] = name
        return self._types

    def _describe(self, category: Category, publisher: int | None, changes: dict[str, Any]) -> None:
        chance, rows, known = self._chance, self._setting.rows, self._setting.known
        entries = _metadata(chance, category.id)
        if publisher is not None:
            entries["publisher-id", "*"] = str(publisher)
        elif chance.random() < 0.5:
            # Emptied by hand: a category without publisher.
            entries["publisher-id", "*"] = ""
        known.category_metadata[category.id] = entries
        for (name, language), value in entries.items():
            rows.add(
                "categories_metadata",
                category_id=category.id,
                name=name,
                language=language,
                value=value,
                **chance.changed(changes["created"]),
            )
        for platform, platform_name in enumerate(PLATFORMS, 1):
            if chance.random() < 0.8:
                published = chance.random() < 0.8
                if published:
                    known.published_categories.add((category.id, platform_name))
                rows.add(
                    "categories_platforms",
                    category_id=category.id,
                    platform_id=platform,
                    published=published,
                    **chance.changed(changes["created"]),
                )


class _Assets:
    """Adds the assets: episodes of shows, live streams of channels, trailers of nothing."""

    def __init__(self, setting: Setting, content: Content) -> None:
        self._setting = setting
        self._assets = content.assets
        self._content = content
        self._chance = setting.chance("assets")
        self._items = self._subtitles = 0

    def add(self) -> None:
        """Adds them all."""
        for channel in self._content.of_level("channel"):
            self._asset(channel, live=True)
        for show in self._content.of_level("show"):
            for _ in range(_ASSETS_PER_SHOW):
                self._asset(show)
        for _ in range(2 * self._setting.scale):
            self._asset(None)

    def _asset(self, category: Category | None, *, live: bool = False) -> None:
        chance, known = self._chance, self._setting.known
        type_id = category.asset_type_id if category and category.asset_type_id else _TRAILER
        asset = Asset(len(self._assets) + 1, type_id, category, live)
        self._assets.append(asset)
        changes = chance.changed()
        licence = chance.maybe(changes["created"])
        duration = chance.choice((0.1 + 0.2, 1e-7, 1e21)) if asset.id % 50 == 0 else chance.uniform(30, 9000)
        self._setting.rows.add(
            "assets",
            id=asset.id,
            asset_type_id=type_id,
            asset_category_id=chance.maybe(chance.randrange(len(_ASSET_CATEGORIES)) + 1),
            title=texts.numbered_title(chance, asset.id),
            description=texts.description(chance),
            duration_seconds=None if live else duration,
            production_year=chance.maybe(chance.randrange(1950, 2026)),
            rating=chance.maybe(f"{chance.randrange(100_000) / 10_000:.4f}"),
            live=live,
            downloadable=chance.random() < 0.3,
            license_start=licence,
            license_end=licence and licence + 730 * _DAY,
            expire=chance.maybe(self._setting.now + 365 * _DAY, 0.1),
            properties=chance.maybe(_properties(chance)),
            **changes,
        )
        known.asset_categories[asset.id] = category.id if category else None
        if category and category.publisher is not None:
            known.asset_publishers[asset.id] = category.publisher
        self._describe(asset, changes["created"])
        self._publish(asset, changes["created"])

    def _describe(self, asset: Asset, created: dt.datetime | None) -> None:
        chance, rows = self._chance, self._setting.rows
        entries = _metadata(chance, asset.id) if asset.id % 9 else {}
        if entries:
            self._setting.known.asset_metadata[asset.id] = entries
        for (name, language), value in entries.items():
            changes = chance.changed(created)
            rows.add(
                "assets_metadata", asset_id=asset.id, name=name, language=language, value=value, **changes
            )
        for position in range(chance.randrange(3)):
            self._items += 1
            rows.add(
                "assets_items",
                id=self._items,
                asset_id=asset.id,
                item_type=chance.choice(("chapter", "advertisement", "credits")),
                title=texts.title(chance),
                position=position,
                offset_seconds=chance.maybe(round(chance.uniform(0, 3000), 3)),
                **chance.changed(created),
            )
        for language in chance.sample(_LANGUAGES, chance.randrange(3)):
            self._subtitles += 1
            rows.add(
                "subtitles",
                id=self._subtitles,
                asset_id=asset.id,
                language=language,
                file_name=f"{asset.id}_{language}.vtt",
                forced=chance.random() < 0.1,
                **chance.changed(created),
            )
        if asset.id > 1 and chance.random() < 0.3:
            rows.add(
                "assets_relations",
                asset_id=asset.id,
                related_asset_id=chance.randrange(1, asset.id),
                relation_type=chance.choice(("trailer-of", "similar")),
                weight=chance.maybe(chance.random()),
                **chance.changed(created),
            )

    def _publish(self, asset: Asset, created: dt.datetime | None) -> None:
        chance, known, now = self._chance, self._setting.known, self._setting.now
        for platform, name in enumerate(PLATFORMS, 1):
            if chance.random() < 0.3:
                continue
            published = chance.random() < 0.85
            live = published and asset.live and chance.random() < 0.9
            start, end = self._viewing_window()
            self._setting.rows.add(
                "assets_platforms",
                asset_id=asset.id,
                platform_id=platform,
                published=published,
                live_published=live,
                publish_start=start,
                publish_end=end,
                **chance.changed(created),
            )
            place = (asset.id, name)
            if published:
                known.published_assets.add(place)
                if (start is None or start <= now) and (end is None or end > now):
                    known.viewable_assets.add(place)
            if live:
                known.live_assets.add(place)

    def _viewing_window(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """Whole seconds, as people enter them: a delivered file has no fractions."""
        chance, now = self._chance, self._setting.now
        kind = chance.random()
        past = chance.before().replace(microsecond=0)
        future = now + chance.randrange(1, 90) * _DAY
        if kind < 0.5:
            return None, None
        if kind < 0.56:
            return chance.choice(((past, now), (now, future)))
        if kind < 0.7:
            return chance.choice(((None, future), (past, None), (None, past), (future, None)))
        if kind < 0.85:
            return past, future
        return chance.choice(((past - _DAY, past), (future, future + _DAY)))


def _properties(chance: Chance) -> str:
    return json.dumps(
        {"aspect": chance.choice(("16:9", "4:3")), "note": texts.title(chance), "cast": ["Å. Ås", 'B, "C"']},
        ensure_ascii=False,
    )
