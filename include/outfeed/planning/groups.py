"""How parts are spread over mapped tasks: few tasks, worth their overhead, of about the same weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from outfeed.plan import Part

#: Mapped tasks per step: a task is worth having when it does much work (design §2).
MAX_GROUPS = 8
#: What makes a group worth its three tasks, which cost about a second: bytes of records. Each part costs
#: `_PART` of them besides; with images, which are looked up one by one, a byte of records costs more.
_GROUP_WORTH = 64 << 20
_PART = 1 << 20
_WITH_IMAGES = 16


def worthwhile(parts: Sequence[Part], weights: Mapping[str, int]) -> int:
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
