"""Parts of a platform-data run: snapshot and delta of each entity (VI-001, VI-018)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from outfeed.config.catalogue import catalogue
from outfeed.config.csv_options import CsvOptions
from outfeed.config.file_names import FileName
from outfeed.config.platform_data import PlatformDataConfig
from outfeed.connectors.base import FilenameStyle
from outfeed.errors import Action, ConfigError
from outfeed.plan import Part, TableRead
from outfeed.planning.request import History, Planned, RunRequest
from outfeed.windows import Window

SNAPSHOT, DELTA = "snapshot", "delta"

_MEDIA_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


def plan_platform_data(
    config: PlatformDataConfig,
    request: RunRequest,
    subjects: list[str],
    destinations: list[str],
    history: History,
) -> Planned:
    """One part per entity and mode; one group, because all of them are read from one state of the database.

    Raises:
        ConfigError: nothing is left, because nobody receives what was asked for, or because snapshots
            can't be taken in the past.
    """
    receivers = [d for d in config.destinations if d.name in destinations]
    jobs = [
        (entity, mode)
        for entity, mode in config.scheduled(request.schedule)
        if entity in subjects and any(destination.receives(entity) for destination in receivers)
    ]
    if not jobs:
        raise ConfigError(
            f"nothing can be delivered: {', '.join(destinations)} receives nothing of {', '.join(subjects)}",
            action=Action.OPERATOR,
            remedy="choose other entities or destinations; `delivery` in the file says what goes where",
        )
    current = _is_current(config, request)
    make = _PartMaker(config, request, history.seen() if any(mode == DELTA for _, mode in jobs) else {})
    omitted: dict[str, str] = {}
    parts = []
    for entity, mode in jobs:
        past = mode == SNAPSHOT and not current
        if past and config.backfilled_snapshot == "omit":
            omitted[f"{mode}/{entity}"] = "a snapshot can't be taken in the past"
        else:
            parts.append(make.part(entity, mode, past=past))
    if not parts:
        raise ConfigError(
            f"nothing can be delivered for {request.window}: only snapshots were asked for, and a snapshot "
            "can't be taken in the past",
            action=Action.OPERATOR,
            remedy="run the last window, or set backfilled_snapshot: today, which says so in the name",
        )
    return Planned(tuple(parts), (tuple(part.key for part in parts),), omitted)


def _is_current(config: PlatformDataConfig, request: RunRequest) -> bool:
    """Whether no later run of the schedule is due: then a snapshot taken now is this run's."""
    rule = request.schedule.rule
    return rule is not None and config.window(rule.last_complete(request.now)) == request.window


class _PartMaker:
    """What the parts of one run share, found out once.

    Args:
        seen: by part key, what the source called its state when the delta before this window was read.
    """

    def __init__(self, config: PlatformDataConfig, request: RunRequest, seen: Mapping[str, str]) -> None:
        self._config = config
        self._request = request
        self._seen = seen
        self._csv = CsvOptions.model_validate(config.model_dump(include=set(CsvOptions.model_fields)))
        self._names = {SNAPSHOT: FileName(config.file_name), DELTA: FileName(config.delta_file_name)}
        self._end = request.window.end.astimezone(ZoneInfo(config.data_delta_time_zone))
        self._scheduled = _is_scheduled(config, request)

    def part(self, entity: str, mode: str, *, past: bool) -> Part:
        """The part of an entity; `past` marks a snapshot that is not the window's."""
        key = f"{mode}/{entity}"
        config, window, read = self._config, self._request.window, catalogue()[entity]
        stem = self._stem(entity, mode) + (f"_as_of_{self._request.now:%Y_%m_%d}" if past else "")
        return Part(
            key=key,
            dataset=config.type,
            mode=mode,
            subject=entity,
            start=window.start,
            end=window.end,
            stems=dict.fromkeys(FilenameStyle, stem),
            extension=f".{config.format}{config.compression.suffix}",
            media_type=_MEDIA_TYPES[config.format],
            compression=config.compression,
            md5=config.csv_md5,
            table=TableRead(
                table=read.table,
                key=read.key,
                clock=read.clock if mode == DELTA else (),
                columns=read.columns,
                never=read.never,
                csv=self._csv,
                format=config.format,
                seen=self._seen.get(key),
                late_days=config.delta_late_days,
            ),
        )

    def _stem(self, entity: str, mode: str) -> str:
        """The name of a scheduled window has its date; another window's says which it is, or it would look
        like a correction of that day's file.
        """
        stem = self._names[mode].render(entity, self._end)
        if self._scheduled or mode == SNAPSHOT:
            return stem
        window = self._request.window
        return f"{stem}_from_{window.start:%Y%m%dT%H%M%SZ}_to_{window.end:%Y%m%dT%H%M%SZ}"


def _is_scheduled(config: PlatformDataConfig, request: RunRequest) -> bool:
    """Whether some tick of the schedule means this window."""
    rule = request.schedule.rule
    if rule is None:
        return False
    tick = rule.next_boundary(request.window.end - dt.timedelta(microseconds=1))
    return config.window(Window(rule.previous_boundary(tick), tick)) == request.window
