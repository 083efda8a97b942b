"""Places in the product at which a process kills itself by SIGKILL, once; the product knows nothing of them.

A process whose PYTHONPATH begins with the folder `injected` calls `install()` at its start. Modules of the
product are then patched when they are imported. A place is armed by a file of its name in the folder
`OUTFEED_KILL_POINTS`; the process that reaches the place renames the file, so that the next try lives.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.abc
import importlib.machinery
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

#: Environment variable: the folder in which places are armed.
FOLDER = "OUTFEED_KILL_POINTS"
#: Put first on PYTHONPATH.
INJECTED = Path(__file__).resolve().parent / "injected"

_STAGING = "outfeed.staging:Staging"
_LEDGER = "outfeed.ledger.store:Ledger"
_FILE_LOG = "outfeed.steps.file_log:FileLog"

#: Whether a call with these arguments is the one; the first argument is the object itself.
Condition = Callable[..., bool]


def _any(*_: Any, **__: Any) -> bool:
    return True


def _step(name: str) -> Condition:
    """For `Staging.publish(step, …)` and for methods of the ledger whose first argument is a fence."""
    return lambda _, first, *__, **___: getattr(first, "step", first) == name


def _staged(name: str) -> Condition:
    return lambda _, step, part, staged: step == "upload" and staged == name


def _file(kind: str, name: str = "") -> Condition:
    return lambda _, record: record.kind == kind and record.path.endswith(name)


@dataclasses.dataclass(frozen=True)
class KillPoint:
    """Before or after a call of a method."""

    owner: str
    method: str
    moment: Literal["before", "after"]
    condition: Condition = _any


#: By name; what stands before the first hyphen is the step that dies.
POINTS: Mapping[str, KillPoint] = {
    "plan-before-pointer": KillPoint(_STAGING, "publish", "before", _step("plan")),
    "plan-after-pointer": KillPoint(_STAGING, "publish", "after", _step("plan")),
    "plan-after-record": KillPoint(_LEDGER, "start_run", "after"),
    "extract-while-writing": KillPoint("outfeed.sources.engine:LineWriter", "flush", "after"),
    "extract-before-pointer": KillPoint(_STAGING, "publish", "before", _step("extract")),
    "extract-after-pointer": KillPoint(_STAGING, "publish", "after", _step("extract")),
    "extract-after-record": KillPoint(_LEDGER, "record_part", "after", _step("extract")),
    "validate-while-writing": KillPoint("outfeed.steps.record_check:HashedFile", "write", "after"),
    "validate-before-pointer": KillPoint(_STAGING, "publish", "before", _step("validate")),
    "validate-after-pointer": KillPoint(_STAGING, "publish", "after", _step("validate")),
    "validate-after-record": KillPoint(_LEDGER, "record_part", "after", _step("validate")),
    "package-before-pointer": KillPoint(_STAGING, "publish", "before", _step("package")),
    "package-after-pointer": KillPoint(_STAGING, "publish", "after", _step("package")),
    "upload-half-a-file": KillPoint("outfeed.connectors.transfer:SourceReader", "block", "after"),
    "upload-image-not-recorded": KillPoint(_FILE_LOG, "add", "before", _file("image")),
    "upload-data-not-recorded": KillPoint(_FILE_LOG, "add", "before", _file("data")),
    "upload-after-data": KillPoint(_STAGING, "open_write", "before", _staged("IMAGES")),
    "upload-before-manifest": KillPoint(_STAGING, "open_write", "before", _staged("MANIFEST")),
    "upload-manifest-not-recorded": KillPoint(_FILE_LOG, "add", "before", _file("manifest", "/MANIFEST")),
    "upload-before-marker": KillPoint(_STAGING, "open_write", "before", _staged("_SUCCESS")),
    "upload-marker-not-recorded": KillPoint(_FILE_LOG, "add", "before", _file("marker")),
    "upload-before-validation": KillPoint(_LEDGER, "record_validation", "before"),
    "upload-before-receipt": KillPoint(_LEDGER, "record_delivery", "before"),
    "upload-after-receipt": KillPoint(_LEDGER, "record_delivery", "after"),
    "notify-before-record": KillPoint(_LEDGER, "record_notification", "before"),
    "notify-after-record": KillPoint(_LEDGER, "record_notification", "after"),
}

#: Places that only tables pass, and those of all deliveries that matter for them.
TABLE_POINTS: Mapping[str, KillPoint] = {
    "extract-table-while-writing": KillPoint("outfeed.sources.segments:Segment", "write", "after"),
    "upload-sidecar-not-recorded": KillPoint(_FILE_LOG, "add", "before", _file("sidecar")),
}

_ALL = {**POINTS, **TABLE_POINTS}


def arm(folder: Path, name: str, dag_id: str = "") -> None:
    """The next process that reaches the place dies there; with `dag_id`, only a task of that Airflow DAG."""
    if name not in _ALL:
        raise KeyError(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(dag_id)


def killed(folder: Path) -> list[str]:
    """The places at which a process has died."""
    return sorted(file.stem for file in folder.glob("*.killed"))


def environment(folder: Path, pythonpath: Sequence[Path]) -> dict[str, str]:
    """What a process must have in its environment for places to be armed in `folder`."""
    return {FOLDER: str(folder), "PYTHONPATH": os.pathsep.join(map(str, [INJECTED, *pythonpath]))}


def install() -> None:
    """Modules of the product are patched when this process imports them; does nothing without the folder."""
    if FOLDER in os.environ:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that have places, and patches them when they have been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if all(point.owner.partition(":")[0] != fullname for point in _ALL.values()):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def patched(module: ModuleType) -> None:
            execute(module)
            _patch(module)

        spec.loader.exec_module = patched  # type: ignore[method-assign]
        return spec


def _patch(module: ModuleType) -> None:
    for name, point in _ALL.items():
        home, _, owner = point.owner.partition(":")
        if home == module.__name__:
            class_ = getattr(module, owner)
            setattr(class_, point.method, _deadly(name, point, getattr(class_, point.method)))


def _deadly(name: str, point: KillPoint, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        here = point.condition(*args, **kwargs)
        if here and point.moment == "before":
            _die_if_armed(name)
        result = method(*args, **kwargs)
        if here and point.moment == "after":
            _die_if_armed(name)
        return result

    return wrapped


def _die_if_armed(name: str) -> None:
    armed = Path(os.environ[FOLDER]) / name
    with contextlib.suppress(FileNotFoundError):
        if armed.read_text() in ("", os.environ.get("AIRFLOW_CTX_DAG_ID")):
            # Of several processes that are here at once, one can rename the file.
            armed.rename(armed.with_name(f"{name}.killed"))
            os.kill(os.getpid(), signal.SIGKILL)
