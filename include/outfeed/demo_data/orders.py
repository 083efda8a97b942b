"""Work orders as a fibre operator's platform would hold them, day by day, with what goes wrong in real life.

Nothing is left to chance: the same arguments give the same rows.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from outfeed.demo_data.images import MAKERS

#: Columns of each table, parents first.
COLUMNS = {
    table: tuple(columns.split())
    for table, columns in {
        "site": "id customer name",
        "work_order": "pk id name site_id create_date update_date metadata progress_score",
        "work_item": "pk work_order_pk id name position",
        "input": "pk work_item_pk id create_date analysis_date file_extension metadata",
        "data_conformity": "pk input_pk position check code level",
        "job_conformity": "pk input_pk position task_name analyzed_value corrected_value corrected_date"
        " message is_conformity_validated",
    }.items()
}

_TASK_GROUPS = {
    group: tuple(tasks.split())
    for group, tasks in {
        "cabinet_before": "context geolocation door_state label cable_count count_validation",
        "splice_closure": "context geolocation seal_validation tray_count tray_label",
        "duct_entry": "context geolocation geolocation_maps duct_count duct_state validation",
        "pole_attachment": "context geolocation height pole_label tension_validation pole_state",
        "socket_installed": "context socket_state socket_label dust_validation power_level count",
        "power_measurement": "context power_level power_validation reference_label wave_count screen_state",
        "cabinet_after": "context geolocation door_state cable_count clean_validation label count",
    }.items()
}
_VARIANTS = 48
_ORDERS_PER_BATCH = 1_000

_CHECKS = (("blur", "101"), ("brightness", "102"), ("framing", "201"), ("duplicate", "301.5"))
_EXTENSIONS = (".jpg",) * 12 + (".png",) * 4 + (".jpeg", ".pdf", "JPG", "png")
_NAMES = (
    'Reprise "fourreau" n°3',
    "Étage 2\\3",
    "façade / côté rue 🛠",
    "Zeile\tmit Tab\nund Umbruch",
    "raccord\x07",
)

_DAY = dt.timedelta(days=1)


class Keys:
    """Surrogate keys for each table, counting on from what the database holds."""

    def __init__(self, last: dict[str, int]) -> None:
        self._last = dict(last)

    def take(self, table: str, count: int = 1) -> int:
        """The first of `count` new keys."""
        first = self._last.get(table, 0) + 1
        self._last[table] = first + count - 1
        return first


@dataclasses.dataclass
class Batch:
    """Rows by table, in the order of `COLUMNS`, and the images that belong to them."""

    rows: dict[str, list[tuple[Any, ...]]] = dataclasses.field(
        default_factory=lambda: {table: [] for table in COLUMNS}
    )
    #: File name and content maker's extension of each image that the store has.
    images: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    missing_images: int = 0


class SiteOrders:
    """All that one site's platform holds.

    Args:
        broken_share: share of the orders that break the contract on purpose; 0 for none.
    """

    def __init__(
        self, site_id: str, *, seed: int, orders_per_day: int, broken_share: float, keys: Keys
    ) -> None:
        self._site_id = site_id
        self._seed = seed
        self._orders_per_day = orders_per_day
        self._broken_every = round(1 / broken_share) if broken_share else 0
        self._keys = keys
        self._jobs = {group: _job_variants(group, seed) for group in _TASK_GROUPS}

    def days(self, first: dt.date, count: int) -> Iterator[Batch]:
        """The rows of all days, a limited number at a time."""
        for number in range(count):
            yield from self._day(first + number * _DAY, number * self._orders_per_day)

    def _day(self, day: dt.date, before: int) -> Iterator[Batch]:
        rng = Random(f"{self._seed}/{self._site_id}/{day}")  # noqa: S311 - reproducible, not secret
        midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
        batch = Batch()
        # The first of a day lies exactly on the window's bound.
        offsets = [0, *sorted(rng.randrange(86_400_000_000) for _ in range(1, self._orders_per_day))]
        for number, offset in enumerate(offsets):
            created = midnight + dt.timedelta(microseconds=offset)
            self._order(batch, rng, before + number, created)
            if number % _ORDERS_PER_BATCH == _ORDERS_PER_BATCH - 1:
                yield batch
                batch = Batch()
        yield batch

    def _order(self, batch: Batch, rng: Random, number: int, created: dt.datetime) -> None:
        broken = self._broken_kind(number)
        late = rng.random() < 0.2
        updated = created + (
            rng.randrange(1, 3) * _DAY + dt.timedelta(microseconds=rng.randrange(3_600_000_000))
            if late
            else dt.timedelta(microseconds=rng.randrange(7_200_000_000) if number else 0)
        )
        pk = self._keys.take("work_order")
        nowhere, dateless = number % 61 == 13, number % 211 == 101
        order_id = _uuid(rng)
        batch.rows["work_order"].append(
            (
                pk,
                f"WO-{number:06}" if broken == 0 else order_id,
                _NAMES[number % len(_NAMES)] if number % 19 == 2 else f"WO-{order_id[:8].upper()}",
                None if nowhere else self._site_id,
                None if dateless or number % 37 == 5 else _text(created),
                None if dateless or number % 17 == 3 else _text(updated),
                _order_metadata(rng, number, broken),
                None if number % 3 == 0 else f"0.{rng.randrange(10, 100)}",
            )
        )
        for position, group in enumerate(rng.sample(sorted(_TASK_GROUPS), rng.choice((2, 2, 3, 3, 4)))):
            item = _Item(
                self._keys.take("work_item"), group, position, number, broken if position == 0 else None
            )
            batch.rows["work_item"].append((item.pk, pk, _uuid(rng), group, position))
            count = 0 if rng.random() < 0.02 and position else rng.choice((1, 1, 1, 2, 2, 2, 3))
            for index in range(count):
                taken = created + dt.timedelta(
                    minutes=5 * position + index, microseconds=rng.randrange(60_000_000)
                )
                self._input(batch, rng, item, index, taken)
            if late and position == 0:
                self._input(batch, rng, item, count, updated - dt.timedelta(seconds=30))

    def _input(self, batch: Batch, rng: Random, item: _Item, index: int, taken: dt.datetime) -> None:
        pk = self._keys.take("input")
        first = index == 0 and item.position == 0
        input_id: str | None = _uuid(rng)
        if item.broken == 2 and first:
            input_id = "13ead234c-8236-4sfa-b748-sdfb409cfe5"
        elif item.broken == 3 and first:
            input_id = None
        extension = None if first and item.order % 53 == 20 else rng.choice(_EXTENSIONS)
        batch.rows["input"].append(
            (
                pk,
                item.pk,
                input_id,
                None if first and item.order % 29 == 6 else _text(taken),
                _text(taken + dt.timedelta(microseconds=rng.randrange(1_000_000, 90_000_000))),
                extension,
                _input_metadata(rng, taken),
            )
        )
        blocked = self._data_conformity(batch, rng, item, pk, first)
        if not blocked:
            self._job_conformity(
                batch, rng, item, pk, taken if not (first and item.broken in (4, 5)) else None
            )
        self._image(batch, input_id, extension, missing=first and item.order % 60 == 0)

    def _data_conformity(self, batch: Batch, rng: Random, item: _Item, input_pk: int, first: bool) -> bool:
        """Adds checks of the raw image; says whether one of them blocks the analysis (DX-142)."""
        chance = rng.random()
        rows = batch.rows["data_conformity"]
        if first and item.order % 41 == 10:
            rows.append((self._keys.take("data_conformity"), input_pk, 0, "exif", "E-NO-GPS", "warning"))
        elif first and item.order % 43 == 9:
            rows.append((self._keys.take("data_conformity"), input_pk, 0, "exif", "401", "notice"))
        elif first and item.order % 47 == 11:
            rows.append((self._keys.take("data_conformity"), input_pk, 0, "exif", None, None))
        if chance > 0.2:
            return False
        level = "error" if chance < 0.06 else rng.choice(("warning", "information"))
        for position, (check, code) in enumerate(rng.sample(_CHECKS, rng.choice((1, 1, 2))), 1):
            rows.append((self._keys.take("data_conformity"), input_pk, position, check, code, level))
        return level == "error"

    def _job_conformity(
        self, batch: Batch, rng: Random, item: _Item, input_pk: int, taken: dt.datetime | None
    ) -> None:
        """Adds the outcomes of the group's tasks; without `taken`, one that breaks the contract."""
        variant = self._jobs[item.group][rng.randrange(_VARIANTS)]
        pk = self._keys.take("job_conformity", len(variant))
        rows = batch.rows["job_conformity"]
        if taken is None:
            analyzed, corrected = ('{"value":1}', None) if item.broken == 4 else ("true", '["a","b"]')
            variant = (("broken_task", analyzed, corrected, "OK", None), *variant[1:])
        date = _text(taken + _DAY) if taken and any(job[2] is not None for job in variant) else None
        rows.extend(
            (
                pk + position,
                input_pk,
                position,
                task,
                analyzed,
                corrected,
                date if corrected else None,
                message,
                valid,
            )
            for position, (task, analyzed, corrected, message, valid) in enumerate(variant)
        )

    def _image(self, batch: Batch, input_id: str | None, extension: str | None, *, missing: bool) -> None:
        if input_id is None or extension is None:
            return
        if missing:
            batch.missing_images += 1
            return
        suffix = extension.lower() if extension.startswith(".") else f".{extension.lower()}"
        batch.images.append((input_id + suffix, suffix))

    def _broken_kind(self, number: int) -> int | None:
        """An order's fault, if any: 0 in its id, 1 metadata, 2 and 3 an input's id, 4 and 5 values."""
        every = self._broken_every
        return (number // every) % 6 if every and number % every == every // 2 else None


@dataclasses.dataclass(frozen=True)
class _Item:
    """A work item under way."""

    pk: int
    group: str
    position: int
    order: int
    broken: int | None


def image_content(name: str, extension: str) -> bytes:
    """The bytes of an image, by its name."""
    return MAKERS[extension](name.removesuffix(extension))


def _job_variants(group: str, seed: int) -> list[tuple[tuple[str, str, str | None, str, bool | None], ...]]:
    rng = Random(f"{seed}/{group}")  # noqa: S311 - reproducible, not secret
    return [tuple(_job(f"{group}_{task}", rng) for task in _TASK_GROUPS[group]) for _ in range(_VARIANTS)]


def _job(task: str, rng: Random) -> tuple[str, str, str | None, str, bool | None]:
    """Task name, analysed value as JSON, corrected value as JSON, message, whether it is validated."""
    value: Any
    other: Any
    if task.endswith(("context", "validation")):
        value = rng.random() < 0.8
        message, other = ("OK", False) if value else ("KO", True)
    elif task.endswith(("count", "height", "level")):
        value = float(rng.randrange(12)) if task.endswith("count") else round(rng.uniform(-30, 12), 2)
        message, other = str(value), value + 1
    elif task.endswith("state"):
        value = rng.choice(("CLEAN", "ANOMALY", "OPEN"))
        message, other = value, "CLEAN"
    else:
        value = rng.choice(("UNAVAILABLE", "existing", f"CM-{rng.randrange(16**6):06X}"))
        message, other = (f"Étiquette : {value}" if task.endswith("label") else value), "existing"
    corrected = json.dumps(other) if rng.random() < 0.03 else None
    valid = rng.choice((None, None, None, True, False)) if corrected is None else True
    return task, json.dumps(value), corrected, message, valid


def _order_metadata(rng: Random, number: int, broken: int | None) -> str | None:
    if broken == 1:
        return '["mobile_app"]'
    if number % 31 == 4:
        return None
    technician = f"T-{rng.randrange(400):04}"
    return f'{{"created_with":"mobile_app","technician":"{technician}","app_version":"5.{number % 7}.0"}}'


def _input_metadata(rng: Random, taken: dt.datetime) -> str:
    latitude, longitude = 45.7 + rng.random() / 10, 4.8 + rng.random() / 10
    return (
        f'{{"timestamp_ms":{int(taken.timestamp() * 1000)},'
        f'"geolocation":{{"latitude":{latitude:.6f},"longitude":{longitude:.6f}}}}}'
    )


def _uuid(rng: Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _text(instant: dt.datetime) -> str:
    return instant.isoformat(timespec="microseconds")
