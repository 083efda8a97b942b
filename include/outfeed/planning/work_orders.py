"""Parts of a work-orders run: one per site (DX-064)."""

from __future__ import annotations

from outfeed.config.work_orders import WorkOrdersConfig
from outfeed.connectors.base import FilenameStyle
from outfeed.plan import Part
from outfeed.planning.groups import MAX_GROUPS, balance, worthwhile
from outfeed.planning.request import History, Planned, RunRequest
from outfeed.windows import Window

#: D11.
_MEDIA_TYPE = "application/x-ndjson"


def plan_work_orders(
    config: WorkOrdersConfig,
    request: RunRequest,
    subjects: list[str],
    destinations: list[str],
    history: History,
) -> Planned:
    """One part per site, named `<site>/data/<export type>/<from>_<to>.json`."""
    images = config.source.images_uri is not None and any(
        d.export_images for d in config.destinations if d.name in destinations
    )
    parts = tuple(_part(config, site, request.window, images) for site in subjects)
    limit = worthwhile(parts, history.weights) if _is_regular(config, request.window) else MAX_GROUPS
    return Planned(parts, balance([part.key for part in parts], history.weights, limit))


def _part(config: WorkOrdersConfig, site: str, window: Window, images: bool) -> Part:
    return Part(
        key=f"{config.export_type}/{site}",
        dataset=config.type,
        mode=config.export_type,
        subject=site,
        start=window.start,
        end=window.end,
        stems={
            style: f"{site}/data/{config.export_type}/{window_name(window, style)}" for style in FilenameStyle
        },
        extension=".json",
        media_type=_MEDIA_TYPE,
        images=images,
    )


def window_name(window: Window, style: FilenameStyle) -> str:
    """`<from>_<to>` in UTC, as document 000 writes it or without colons (DX-065, §5.4)."""
    pattern = "%Y-%m-%d_%H:%M:%S" if style is FilenameStyle.DEEPOMATIC else "%Y-%m-%dT%H%M%SZ"
    return f"{window.start.strftime(pattern)}_{window.end.strftime(pattern)}"


def _is_regular(config: WorkOrdersConfig, window: Window) -> bool:
    """Whether the window is one of the schedule's: then it is about as large as the last one."""
    rule = config.rule
    return (
        rule is not None and rule.is_boundary(window.start) and rule.window_starting(window.start) == window
    )
