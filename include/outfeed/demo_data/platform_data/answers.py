"""What a generated platform must answer to the document's questions, counted while its objects were made."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

#: Value by name and language.
Metadata = dict[tuple[str, str], str | None]


def _counts() -> defaultdict[Any, int]:
    return defaultdict(int)


def _lists() -> defaultdict[Any, list[int]]:
    return defaultdict(list)


@dataclass
class KnownAnswers:
    """The answers to the 15 user stories (VI-U01 to VI-U15) and the questions about links (VI-007 to VI-016).

    Days are UTC. What depends on the time of asking is as of midnight at the end of the generated days; a
    bound that is null is open.
    """

    #: Rows of each reference table.
    rows: dict[str, int] = field(default_factory=dict)

    # -- the user stories

    #: VI-U01: new users by day.
    sign_ups: dict[dt.date, int] = field(default_factory=_counts)
    #: VI-U02: logins by day.
    sign_ins: dict[dt.date, int] = field(default_factory=_counts)
    #: VI-U03: new subscriptions by day.
    subscriptions: dict[dt.date, int] = field(default_factory=_counts)
    #: VI-U04: running subscriptions: `renewable`, and `stopped`, which end with their term.
    active_subscriptions: dict[str, int] = field(default_factory=lambda: {"renewable": 0, "stopped": 0})
    #: VI-U05: stopped subscriptions by day.
    stops: dict[dt.date, int] = field(default_factory=_counts)
    #: VI-U05: those of them whose users had not been active for more than seven days, or never, by day.
    inactive_stops: dict[dt.date, int] = field(default_factory=_counts)
    #: VI-U06: views by day and asset.
    asset_views: dict[tuple[dt.date, int], int] = field(default_factory=_counts)
    #: VI-U07: views by country and provider.
    view_origins: dict[tuple[str | None, str | None], int] = field(default_factory=_counts)
    #: VI-U07: different addresses by country.
    view_addresses: dict[str | None, int] = field(default_factory=dict)
    #: VI-U08: views by platform.
    platform_views: dict[str | None, int] = field(default_factory=_counts)
    #: VI-U09: views by `registered` and `anonymous`.
    views_by_login: dict[str, int] = field(default_factory=_counts)
    #: VI-U10: views by level type and id of the category; those without category by (None, None).
    category_views: dict[tuple[str | None, int | None], int] = field(default_factory=_counts)
    #: VI-U11: metadata of each asset that has any.
    asset_metadata: dict[int, Metadata] = field(default_factory=dict)
    #: VI-U12: metadata of each category that has any.
    category_metadata: dict[int, Metadata] = field(default_factory=dict)
    #: VI-U13: video files of each asset that has any, in ascending order.
    video_files: dict[int, list[int]] = field(default_factory=_lists)
    #: VI-U14: servers that hold a file, and those that held it once, as pairs of file and server.
    files_published: set[tuple[int, int]] = field(default_factory=set)
    files_deleted: set[tuple[int, int]] = field(default_factory=set)
    #: VI-U15: sub-profiles by gender.
    profiles: dict[str | None, int] = field(default_factory=_counts)
    #: VI-U15: sub-profiles of each user that has any.
    profiles_of_user: dict[int, int] = field(default_factory=_counts)

    # -- the links

    #: VI-007: category of each asset.
    asset_categories: dict[int, int | None] = field(default_factory=dict)
    #: VI-008: name of the asset type of each channel and show.
    category_types: dict[int, str] = field(default_factory=dict)
    #: VI-009: channel of each show.
    channel_of_show: dict[int, int] = field(default_factory=dict)
    #: VI-010: genre of each channel.
    genre_of_channel: dict[int, int] = field(default_factory=dict)
    #: VI-011: number of categories by level type.
    level_types: dict[str, int] = field(default_factory=_counts)
    #: VI-012: category and name of a platform that it is published on.
    published_categories: set[tuple[int, str]] = field(default_factory=set)
    #: VI-013: asset and name of a platform that it is published on.
    published_assets: set[tuple[int, str]] = field(default_factory=set)
    #: VI-013: asset and name of a platform that it is published on as a live stream.
    live_assets: set[tuple[int, str]] = field(default_factory=set)
    #: VI-014: asset and name of a platform on which it is published and can be seen now.
    viewable_assets: set[tuple[int, str]] = field(default_factory=set)
    #: VI-015: name of the publisher of each category that has one.
    category_publishers: dict[int, str] = field(default_factory=dict)
    #: VI-016: name of the publisher of each asset that has one.
    asset_publishers: dict[int, str] = field(default_factory=dict)
