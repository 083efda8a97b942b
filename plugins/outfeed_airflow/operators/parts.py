"""Steps that work on a group of parts: one mapped task instance each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from outfeed_airflow import resolve
from outfeed_airflow.operators.base import StepOperator

if TYPE_CHECKING:
    from outfeed.steps.context import RunContext
    from outfeed_airflow.operators.plan import Group


class GroupOperator(StepOperator):
    """A step on one group of parts."""

    template_fields: Sequence[str] = ("group",)

    def __init__(self, *, group: Group, **kwargs: Any) -> None:
        super().__init__(map_index_template="{{ task.group['holds'] }}", **kwargs)
        self.group = group


class ExtractOperator(GroupOperator):
    """Reads the group's parts from the source into staging."""

    def step(self, run: RunContext) -> dict[str, Any]:
        """See the base class."""
        from outfeed.steps.extract import STEP, extract
        from outfeed.steps.parts import before_parts

        group = self.group["index"]
        source = before_parts(run, STEP, group, lambda: _source(run))
        return extract(run, group, source)


class ValidateOperator(GroupOperator):
    """Checks every record of the group's parts; what breaks the contract goes to quarantine."""

    def step(self, run: RunContext) -> dict[str, Any]:
        """See the base class."""
        from outfeed.steps.extract import STEP as EXTRACT
        from outfeed.steps.parts import before_parts
        from outfeed.steps.validate import STEP, validate

        def opened() -> tuple[Any, Any]:
            return _source(run), resolve.images_root(run.plan.customer_config)

        group = self.group["index"]
        source, images = before_parts(run, STEP, group, opened, after=EXTRACT)
        return validate(run, group, source, images)


class PackageOperator(GroupOperator):
    """Decides what files the group's parts become."""

    def step(self, run: RunContext) -> dict[str, Any]:
        """See the base class."""
        from outfeed.steps.package import package

        return package(run, self.group["index"])


def _source(run: RunContext) -> Any:
    return resolve.open_source(run.plan.customer_config, run.plan.parts[0].dataset)
