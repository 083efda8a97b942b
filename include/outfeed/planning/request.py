"""What a run is asked to do, and what earlier runs left for it to know."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from outfeed.config.schedule import Schedule
from outfeed.errors import Action, ConfigError
from outfeed.plan import Part, Reason
from outfeed.windows import Window


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """What a run is asked to do. Empty `subjects` or `destinations` mean all of the configuration.

    Attributes:
        schedule: the one of the customer's schedules that the run belongs to.
        subjects: sites or entities.
        now: when the run is planned; decides only whether a snapshot would still be the window's.
    """

    customer: str
    schedule: Schedule
    window: Window
    run_id: str
    reason: Reason
    now: dt.datetime = dataclasses.field(default_factory=lambda: dt.datetime.now(dt.UTC))
    subjects: Sequence[str] = ()
    destinations: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class History:
    """What earlier runs left.

    Attributes:
        weights: bytes by part key.
        seen: gives, by part key, what the source called its state when the delta before this window was
            read; asked only by who plans deltas, because a year of other parts is much to look through.
    """

    weights: Mapping[str, int] = dataclasses.field(default_factory=dict)
    seen: Callable[[], Mapping[str, str]] = dict


@dataclasses.dataclass(frozen=True)
class Planned:
    """The parts of a run; `omitted` names what was asked for and can't be delivered, with the reason."""

    parts: tuple[Part, ...]
    groups: tuple[tuple[str, ...], ...]
    omitted: Mapping[str, str] = dataclasses.field(default_factory=dict)


def choose(kind: str, wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The wanted names in the config's order; all of them if none is named.

    Raises:
        ConfigError: one is not known.
    """
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
