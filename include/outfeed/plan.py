"""Config plus window gives an immutable plan: parts, groups, names and destinations.

The first task of a run writes the plan to staging; later tasks read only the plan, so that an edit of
the YAML in mid-run changes nothing. The same config and window give the same plan (XX-02).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict

from outfeed.config.models import MAX_SPAN_DAYS, CustomerConfig, WorkOrdersConfig, config_model
from outfeed.connectors import DestinationModel
from outfeed.connectors.base import FilenameStyle
from outfeed.errors import Action, ConfigError
from outfeed.windows import Window

#: Mapped tasks per step: a task is worth having when it does much work (design §2).
MAX_GROUPS = 8
#: What makes a group worth its three tasks, which cost about a second: bytes of records. Each part costs
#: `_PART` of them besides; with images, which are looked up one by one, a byte of records costs more.
_GROUP_WORTH = 64 << 20
_PART = 1 << 20
_WITH_IMAGES = 16


class Reason(StrEnum):
    """Why a run takes place."""

    SCHEDULED = "scheduled"
    BACKFILL = "backfill"
    MANUAL = "manual"
    TEST = "test"


class Frozen(BaseModel):
    """An immutable value of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(Frozen):
    """The unit of work: one dataset × one site × one mode × the run's window."""

    key: str
    dataset: str
    mode: str
    site_id: str
    start: dt.datetime
    end: dt.datetime
    #: Whether any destination of the run wants the images.
    images: bool

    @property
    def window(self) -> Window:
        """The run's window."""
        return Window(self.start, self.end)

    def data_path(self, style: FilenameStyle, revision: int = 1) -> str:
        """`<site>/data/<export type>/<from>_<to>.json`, from revision 2 on with `__r<n>` (DX-064, D27)."""
        suffix = "" if revision == 1 else f"__r{revision}"
        return f"{self.site_id}/data/{self.mode}/{window_name(self.window, style)}{suffix}.json"

    def image_path(self, name: str) -> str:
        """`<site>/inputs/<input id><file extension>` (DX-067)."""
        return f"{self.site_id}/inputs/{name}"


class Plan(Frozen):
    """Everything that later tasks need to know of a run."""

    customer: str
    run_id: str
    reason: Reason
    start: dt.datetime
    end: dt.datetime
    parts: tuple[Part, ...]
    #: Keys of the parts that one mapped task works on.
    groups: tuple[tuple[str, ...], ...]
    #: Names of the destinations of this run.
    destinations: tuple[str, ...]
    #: The resolved customer configuration, as JSON values.
    config: dict[str, Any]

    @property
    def window(self) -> Window:
        """The run's window."""
        return Window(self.start, self.end)

    def customer_config(self) -> CustomerConfig:
        """The configuration as it was when the run was planned."""
        model = config_model(self.config)
        if model is None:
            raise ConfigError(f"the plan names the unknown configuration type {self.config.get('type')!r}")
        return model.model_validate(self.config)

    def destination(self, name: str) -> DestinationModel:
        """The options of one of the run's destinations."""
        return next(d for d in self.customer_config().destinations if d.name == name)

    def group(self, index: int) -> tuple[Part, ...]:
        """The parts of one mapped task."""
        wanted = set(self.groups[index])
        return tuple(part for part in self.parts if part.key in wanted)

    def to_json(self) -> bytes:
        """The plan's only serialised form."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)

    @property
    def config_sha256(self) -> str:
        """Digest of the resolved configuration, for the ledger."""
        return hashlib.sha256(orjson.dumps(self.config, option=orjson.OPT_SORT_KEYS)).hexdigest()


def window_name(window: Window, style: FilenameStyle) -> str:
    """`<from>_<to>` in UTC, as document 000 writes it or without colons (DX-065, §5.4)."""
    pattern = "%Y-%m-%d_%H:%M:%S" if style is FilenameStyle.DEEPOMATIC else "%Y-%m-%dT%H%M%SZ"
    return f"{window.start.strftime(pattern)}_{window.end.strftime(pattern)}"


def make_plan(
    *,
    customer: str,
    config: WorkOrdersConfig,
    window: Window,
    run_id: str,
    reason: Reason,
    sites: Sequence[str] = (),
    destinations: Sequence[str] = (),
    weights: Mapping[str, int] | None = None,
) -> Plan:
    """The plan of one run.

    Args:
        sites: site ids to export; empty means all of the config.
        destinations: names of destinations; empty means all of the config.
        weights: bytes by part key in earlier runs, to balance the groups.

    Raises:
        ConfigError: for a site or destination that the config does not name, or a window that is too long.
    """
    if window.span > dt.timedelta(days=MAX_SPAN_DAYS, hours=1):
        raise ConfigError(
            f"the window {window} spans {window.span.days} days, more than the {MAX_SPAN_DAYS} allowed",
            action=Action.OPERATOR,
            remedy="start a backfill instead, it delivers one file per interval",
        )
    chosen_sites = _choose("site", sites, [str(site) for site in config.site_id])
    chosen = _choose("destination", destinations, [d.name for d in config.destinations])
    images = config.source.images_uri is not None and any(
        d.export_images for d in config.destinations if d.name in chosen
    )
    parts = tuple(
        Part(
            key=f"{config.export_type}/{site}",
            dataset=config.type,
            mode=config.export_type,
            site_id=site,
            start=window.start,
            end=window.end,
            images=images,
        )
        for site in chosen_sites
    )
    known = weights or {}
    limit = _worthwhile(parts, known) if _is_regular(config, window) else MAX_GROUPS
    return Plan(
        customer=customer,
        run_id=run_id,
        reason=reason,
        start=window.start,
        end=window.end,
        parts=parts,
        groups=balance([part.key for part in parts], known, limit),
        destinations=tuple(chosen),
        config=config.model_dump(mode="json"),
    )


def _is_regular(config: WorkOrdersConfig, window: Window) -> bool:
    """Whether the window is one of the schedule's: then it is about as large as the last one."""
    rule = config.rule
    return (
        rule is not None and rule.is_boundary(window.start) and rule.window_starting(window.start) == window
    )


def _worthwhile(parts: Sequence[Part], weights: Mapping[str, int]) -> int:
    """How many groups parts are worth that were small before; all of them, if nobody knows."""
    if any(part.key not in weights for part in parts):
        return MAX_GROUPS
    cost = sum(_PART + weights[part.key] * (_WITH_IMAGES if part.images else 1) for part in parts)
    return min(MAX_GROUPS, 1 + cost // _GROUP_WORTH)


def balance(
    keys: Sequence[str], weights: Mapping[str, int], limit: int = MAX_GROUPS
) -> tuple[tuple[str, ...], ...]:
    """Splits parts into at most `limit` groups of about the same weight, largest parts first."""
    known = sorted(weights.values())
    default = known[len(known) // 2] if known else 1
    loads = [0] * min(limit, len(keys))
    groups: list[list[str]] = [[] for _ in loads]
    for key in sorted(keys, key=lambda key: (-weights.get(key, default), key)):
        lightest = loads.index(min(loads))
        groups[lightest].append(key)
        loads[lightest] += max(1, weights.get(key, default))
    return tuple(tuple(sorted(group)) for group in groups)


def _choose(kind: str, wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The wanted names in the config's order; all of them if none is named."""
    unknown = [name for name in wanted if _canonical(name) not in known]
    if unknown:
        raise ConfigError(
            f"{kind} {unknown[0]!r} is not in this customer's configuration",
            action=Action.OPERATOR,
            remedy=f"choose among: {', '.join(known)}",
        )
    chosen = {_canonical(name) for name in wanted}
    return [name for name in known if not chosen or name in chosen]


def _canonical(name: str) -> str:
    """A UUID in its usual form; any other name as it is."""
    try:
        return str(UUID(name))
    except ValueError:
        return name
