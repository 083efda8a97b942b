"""One step over the parts of a group: a part that fails does not stop the others."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from outfeed.errors import Action, OutfeedError, SupersededError, TerminalError, TransientError
from outfeed.ledger.records import Fence, RunState
from outfeed.plan import Part
from outfeed.steps.context import PartFailures, RunContext

log = logging.getLogger(__name__)

#: What a step does for one part: gives its published result, or None if there is nothing to do for it.
PartWork = Callable[[Fence, Part], dict[str, Any] | None]

_Prepared = TypeVar("_Prepared")

_FULL = (errno.ENOSPC, errno.EDQUOT)


def for_each_part(run: RunContext, step: str, group: int, work: PartWork) -> dict[str, Any]:
    """Works on each part of the group; raises at the end if any failed (design §2).

    Returns:
        Number of parts, and the sums of their `rows` and `bytes`.

    Raises:
        TransientError: some part failed in a way that may pass.
        TerminalError: parts failed, and somebody must act first.
        SupersededError: a newer try has begun; raised at once.
    """
    fence = run.begin(step, f"group-{group}")
    failures = PartFailures(run.ledger, fence)
    summary = {"parts": 0, "rows": 0, "bytes": 0}
    for part in run.plan.group(group):
        try:
            result = work(fence, part)
        except SupersededError:
            raise
        except OutfeedError as error:
            failures.add(part.key, error)
        except OSError as error:
            failures.add(part.key, storage_error(error, f"{step} {part.key}"))
        except Exception as error:
            log.exception("%s of part %s broke off", step, part.key)
            failures.add(part.key, _unexpected(error, f"{step} {part.key}"))
        else:
            if result is not None:
                summary["parts"] += 1
                summary["rows"] += result["rows"]
                summary["bytes"] += result["bytes"]
    return failures.finish(summary)


def before_parts(
    run: RunContext, step: str, group: int, prepare: Callable[[], _Prepared], after: str | None = None
) -> _Prepared:
    """What all parts of the group need; if it can't be had, the ledger says why at each of them (XX-08).

    Args:
        after: the step before; parts that failed there keep its reason.

    Raises:
        OutfeedError: that of `prepare`.
    """
    try:
        return prepare()
    except OutfeedError as error:
        fence = run.begin(step, f"group-{group}")
        failures = PartFailures(run.ledger, fence)
        for part in run.plan.group(group):
            if after is None or run.staging.result(after, part.key) is not None:
                failures.add(part.key, error)
        run.ledger.end_attempt(fence, RunState.FAILED, str(error), error.action)
        raise


def storage_error(error: OSError, where: str) -> OutfeedError:
    """A fault of staging or of the image store, in Outfeed's words."""
    what = f"{type(error).__name__}: {error.strerror or error}"
    place = f"{where}, {error.filename}" if error.filename else where
    if error.errno in _FULL:
        return TerminalError(
            what, where=place, action=Action.OPERATOR, remedy="free space, then clear this task"
        )
    if isinstance(error, PermissionError):
        return TerminalError(
            what, where=place, action=Action.OPERATOR, remedy="let the worker's user read and write there"
        )
    return TransientError(what, where=place, action=Action.OPERATOR, remedy="check the storage")


def _unexpected(error: Exception, where: str) -> OutfeedError:
    """Nobody foresaw it, so nobody knows whether a retry helps: it gets one."""
    return TransientError(
        f"unexpected {type(error).__name__}: {error}",
        where=where,
        action=Action.ENGINEER,
        remedy="see the traceback in this task's log",
    )
