"""Kinds of customer configuration, found by their `type`."""

from __future__ import annotations

from typing import Any

from outfeed.config.models import CustomerConfig
from outfeed.config.platform_data import PlatformDataConfig
from outfeed.config.work_orders import WorkOrdersConfig

KINDS: dict[str, type[CustomerConfig]] = {
    "work-orders": WorkOrdersConfig,
    "platform-data": PlatformDataConfig,
}


def config_model(document: Any) -> type[CustomerConfig] | None:
    """The model for the kind that a parsed YAML names by its `type`, or None for an unknown one."""
    kind = document.get("type") if isinstance(document, dict) else None
    return KINDS.get(kind) if isinstance(kind, str) else None
