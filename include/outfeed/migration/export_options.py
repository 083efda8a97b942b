"""Schedules, windows and CSV options of an old installation (VI-021 to VI-031, VI-C02 to VI-C12)."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from outfeed.config.catalogue import catalogue
from outfeed.config.models import five_fields
from outfeed.config.platform_data import PlatformDataConfig
from outfeed.config.problems import did_you_mean
from outfeed.migration.env_text import Setting
from outfeed.migration.imported import Imported, Option
from outfeed.migration.names import entities, what_is_wrong

CRON = "CRON_SCHEDULE_"

_OPTIONS = (
    "DATA_DELTA_DAYS",
    "DATA_DELTA_MIDNIGHT_TO_MIDNIGHT",
    "CSV_INCLUDE_HEADER",
    "CSV_TEXT_ENCLOSURE",
    "CSV_ESCAPE_CHAR",
    "CSV_FIELD_SEPARATOR",
    "CSV_TEXT_ROW_SEPARATOR",
    "CSV_DATE_FORMAT",
    "CSV_MD5",
)
_ZONE = "DATA_DELTA_TIME_ZONE"
_SNAPSHOT = "CSV_SNAPSHOT"

#: Settings that are understood here.
KNOWN = (*_OPTIONS, _ZONE, _SNAPSHOT)

#: Any valid file: what is added to it shows whether it is valid, too.
_BASE = {
    "type": "platform-data",
    "source": {"connection": "platform_db"},
    "destinations": [{"name": "any", "type": "local", "path": "any"}],
}


def import_options(settings: dict[str, Setting], imported: Imported) -> None:
    """Carries over every option that differs from its default; lists what is refused, and why."""
    _schedules({name: one for name, one in settings.items() if name.startswith(CRON)}, imported)
    given = {name: settings[name] for name in _OPTIONS if name in settings and settings[name].value}
    values = _accepted(given, imported)
    zone = settings.get(_ZONE)
    if zone is not None and zone.value.upper() not in ("", "UTC"):
        if values.get("data_delta_midnight_to_midnight"):
            values |= _accepted({_ZONE: zone}, imported, values)
        else:
            imported.leave_out(zone, "it has an effect only with DATA_DELTA_MIDNIGHT_TO_MIDNIGHT=1")
    for name, setting in settings.items():
        key = name.lower()
        if key in values and values[key] != PlatformDataConfig.model_fields[key].default:
            imported.options.append(Option(key, values[key], setting.place))
        elif name in ("CSV_TEXT_ENCLOSURE", "CSV_ESCAPE_CHAR", "CSV_FIELD_SEPARATOR") and not setting.value:
            imported.leave_out(setting, f"it is empty; {_stays(key)}")
    if _SNAPSHOT in settings:
        _snapshots(settings[_SNAPSHOT], imported)


def _snapshots(setting: Setting, imported: Imported) -> None:
    names, limited = entities(setting, imported)
    if names:
        imported.options.append(Option("csv_snapshot", names, setting.place))
    elif limited:
        imported.leave_out(setting, "no entity of it is known, so all snapshots are made")


def _stays(key: str) -> str:
    default = PlatformDataConfig.model_fields[key].default
    return f"the default {int(default) if isinstance(default, bool) else default!r} stays in force"


def _accepted(
    given: dict[str, Setting], imported: Imported, before: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The values that are valid together; if not all are, they are tried one after the other."""
    values = dict(before or {})
    wanted = {name.lower(): _plain(setting) for name, setting in given.items()}
    try:
        return _validated(values | wanted)
    except ValidationError:
        pass
    for setting in given.values():
        key = setting.name.lower()
        try:
            values = _validated(values | {key: wanted[key]})
        except ValidationError as error:
            imported.leave_out(setting, f"{what_is_wrong(error)}; {_stays(key)}")
    return values


def _validated(values: dict[str, Any]) -> dict[str, Any]:
    config = PlatformDataConfig.model_validate(_BASE | values)
    return {key: getattr(config, key) for key in values}


def _plain(setting: Setting) -> str:
    """A tab is often written as two characters."""
    return "\t" if setting.value == r"\t" and setting.name.endswith("_SEPARATOR") else setting.value


def _schedules(settings: dict[str, Setting], imported: Imported) -> None:
    defaults = {job: cron for name, one in catalogue().items() for job, (cron, _) in one.jobs(name).items()}
    often = []
    for name, setting in settings.items():
        job = name.removeprefix(CRON).lower()
        if job not in defaults:
            hint = did_you_mean(job, defaults, otherwise="the catalogue does not have it")
            imported.leave_out(setting, f"there is no such job ({hint})")
            continue
        cron = " ".join(setting.value.split())
        problem = _cron_problem(cron)
        if problem:
            stays = f"the default {defaults[job]!r} stays in force" if defaults[job] else "it never runs"
            imported.leave_out(setting, f"{problem}; {stays}")
            continue
        if cron != defaults[job]:
            imported.schedules.append(Option(job, cron, setting.place))
        if cron and not all(field.isdigit() for field in cron.split()[:2]):
            often.append(setting)
    if often:
        _with_hours(often, imported)


def _cron_problem(cron: str) -> str | None:
    """Why this is no cron expression, or None; empty is never (VI-027)."""
    try:
        if cron:
            five_fields(cron)
    except ValueError as error:
        fields = cron.split()
        if len(fields) in (6, 7):
            return f"{error}: this is Quartz's form; leave out the seconds and the year, write * for ?"
        return str(error)
    return None


def _with_hours(often: list[Setting], imported: Imported) -> None:
    """Two runs of a day must not mean the same file."""
    for key in ("file_name", "delta_file_name"):
        default = PlatformDataConfig.model_fields[key].default
        with_hours = default.replace("{date:yyyy_MM_dd}", "{date:yyyy_MM_dd_HH_mm}")
        imported.options.append(Option(key, with_hours, often[0].place))
    names = ", ".join(setting.name for setting in often)
    imported.to_do.append(
        f"tell the customer that all files have the hour in their names now: {names} can run more than once "
        "a day, and a later file never overwrites an earlier one"
    )
